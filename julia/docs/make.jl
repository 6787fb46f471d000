# The documentation, with every example of it and of the docstrings run:
#
#   julia --project=docs -e 'import Pkg; Pkg.develop(path = "."); Pkg.instantiate()'
#   julia --project=docs docs/make.jl
#
# in the folder of the Julia package (1.11 and later need no `develop`). The pages
# are written to docs/build.

import Documenter
import ReLUOpt

Documenter.DocMeta.setdocmeta!(
    ReLUOpt,
    :DocTestSetup,
    :(using ReLUOpt);
    recursive = true,
)

Documenter.makedocs(;
    sitename = "ReLUOpt",
    authors = "The reluopt developers",
    modules = [ReLUOpt, ReLUOpt.QuadraticSearch],
    remotes = nothing,
    format = Documenter.HTML(;
        prettyurls = get(ENV, "CI", nothing) == "true",
        edit_link = nothing,
        repolink = nothing,
    ),
    pages = [
        "index.md",
        "Manual" => [
            "manual/networks.md",
            "manual/models.md",
            "manual/questions.md",
            "manual/optimizers.md",
        ],
        "api.md",
        "Developers" => [
            "developers/extending.md",
            "developers/quadratic_search.md",
            "developers/releases.md",
            "developers/internals.md",
        ],
    ],
)
