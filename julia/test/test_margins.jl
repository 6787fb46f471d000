module TestMargins

using ReLUOpt
using ReLUOpt: BareRelativeMargin
using Test

import ReLUOpt: conditions, parse_margin, slack

holds(margin, target, logits) = all(>=(0), slack(conditions(margin, target, length(logits)), logits))

function test_relative_margin()
    margin = RelativeMargin(0.2)
    @test holds(margin, 0, [1.2, 1.0, -3.0])
    @test !holds(margin, 0, [1.19, 1.0, -3.0])
    # With negative logits the ratio alone would accept a loser and a tie.
    @test !holds(margin, 0, [-1.1, -1.0, -3.0])
    @test holds(BareRelativeMargin(0.2), 0, [-1.1, -1.0, -3.0])
    @test !holds(margin, 0, [0.0, 0.0, -1.0])
    @test !holds(margin, 0, [-1.0, -1.0 - 0.9e-4, -3.0])
    @test holds(margin, 0, [-1.0, -1.0 - 1.1e-4, -3.0])
    return
end

function test_absolute_margin()
    @test holds(AbsoluteMargin(0.5), 1, [0.0, 0.5, -2.0])
    @test !holds(AbsoluteMargin(0.5), 1, [0.0, 0.49, -2.0])
    return
end

function test_shapes()
    @test size(conditions(RelativeMargin(0.2), 3, 10).matrix) == (18, 10)
    @test size(conditions(RelativeMargin(0.0), 3, 10).matrix) == (9, 10)
    @test size(conditions(BareRelativeMargin(0.2), 3, 10).matrix) == (9, 10)
    given = LogitConditions([1.0 -1.0], [0.25])
    @test conditions(given, 0, 2) === given
    return
end

function test_parse()
    @test parse_margin("x1.2") == RelativeMargin(0.2)
    @test parse_margin("+0.1") == AbsoluteMargin(0.1)
    @test parse_margin("bare-x1.2") == BareRelativeMargin(0.2)
    for text in ("1.2", "x", "xy", "+0", "x0.5", "")
        @test_throws ArgumentError parse_margin(text)
    end
    return
end

function test_errors()
    @test_throws ArgumentError RelativeMargin(-0.1)
    @test_throws ArgumentError RelativeMargin(0.2; strict_gap = 0)
    @test_throws ArgumentError AbsoluteMargin(0)
    @test_throws ArgumentError conditions(AbsoluteMargin(1), 3, 3)
    @test_throws DimensionMismatch LogitConditions(ones(2, 3), ones(3))
    return
end

end # module TestMargins

TestMargins
