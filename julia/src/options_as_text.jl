"""
    parse_formulation(name)

The formulation called `bigm`, `indicator`, `triangle`, `thesis` or, with N parts,
`partition-N`.
"""
function parse_formulation(name::AbstractString)
    name == "bigm" && return BigM()
    name == "indicator" && return Indicator()
    name == "triangle" && return Triangle()
    name == "thesis" && return ThesisBigM()
    parts = match(r"^partition-(\d+)$", name)
    parts === nothing || return Partition(parse(Int, parts[1]))
    throw(
        ArgumentError(
            "formulation: expected bigm, indicator, triangle, thesis or " *
            "partition-N, found " *
            repr(name),
        ),
    )
end

"""
    parse_margin(text)

Read `x1.2` (relative), `+0.1` (absolute) or `bare-x1.2` (the thesis'
condition), as the command line of the Python package does.
"""
function parse_margin(text::AbstractString)
    for (prefix, make) in (
        "bare-x" => value -> BareRelativeMargin(round(value - 1; digits = 12)),
        # Decimal ratios such as 1.2 are meant exactly, but 1.2 - 1 is not 0.2.
        "x" => value -> RelativeMargin(round(value - 1; digits = 12)),
        "+" => AbsoluteMargin,
    )
        if startswith(text, prefix)
            value = tryparse(Float64, chopprefix(text, prefix))
            value === nothing || return make(value)
            break
        end
    end
    throw(
        ArgumentError(
            "margin: expected x1.2, +0.1 or bare-x1.2, found $(repr(text))",
        ),
    )
end
