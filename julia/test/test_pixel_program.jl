module TestPixelProgram

using ReLUOpt
using Test

import ReLUOpt.QuadraticSearch: PixelProgram, dual_bound, solve_pixel_program

include("examples.jl")

"""Rows in pixels alone, all of them >=."""
function rows_only(image, G, rhs)
    m, n = size(G)
    return PixelProgram(
        image,
        collect(1:m),
        G,
        zeros(m, 0),
        rhs,
        fill(-1, m),
        zeros(n),
        ones(n),
    )
end

function test_projections_by_hand()
    # Onto x + y >= 1: the foot of the perpendicular.
    bound, v, _ = solve_pixel_program(rows_only([0.2, 0.4], [1.0 1.0], [1.0]); tolerance = 1e-9)
    @test v ≈ [0.4, 0.6] atol = 1e-6
    @test bound ≈ 0.08 atol = 1e-8
    # The box stops the first pixel at 1.
    bound, v, _ = solve_pixel_program(rows_only([0.9, 0.0], [1.0 1.0], [1.5]); tolerance = 1e-9)
    @test v ≈ [1.0, 0.5] atol = 1e-6
    @test bound ≈ 0.26 atol = 1e-8
    # The image itself is feasible.
    bound, v, _ = solve_pixel_program(rows_only([0.9, 0.8], [1.0 1.0], [1.0]); tolerance = 1e-9)
    @test v ≈ [0.9, 0.8] atol = 1e-4
    @test abs(bound) <= 1e-6
    return
end

function test_infeasible_exceeds_every_cutoff()
    program = rows_only([0.5, 0.5], [1.0 0.0; -1.0 0.0], [0.6, -0.4])
    for cutoff in (1.0, 100.0, 1e4)
        bound, _, _ = solve_pixel_program(program; cutoff)
        @test bound > cutoff
    end
    return
end

function test_every_multiplier_gives_a_bound()
    rng = Random.MersenneTwister(1)
    for _ in 1:10
        image, G = rand(rng, 6), randn(rng, 4, 6)
        program = rows_only(image, G, G * rand(rng, 6))
        bound, v, y, _ = solve_pixel_program(program; tolerance = 1e-9)
        objective = sum(abs2, v - image)
        @test bound <= objective + 1e-8
        @test bound ≈ objective rtol = 1e-6 atol = 1e-8
        @test dual_bound(program, y, program.lower, program.upper) == bound
        for scale in (0.01, 0.1, 1.0, 10.0)
            other = y + scale .* randn(rng, 4)
            @test dual_bound(program, other, program.lower, program.upper) <=
                  objective + 1e-8
        end
    end
    return
end

function test_slight_contradiction_is_proven()
    # x >= 0.6 and x <= 0.6 - 1e-6: an interior point alone stalls on it.
    program = rows_only([0.5, 0.5], [1.0 0.0; -1.0 0.0], [0.6, -0.6 + 1e-6])
    bound, _, y, _ = solve_pixel_program(program; cutoff = 10.0)
    @test bound > 10.0
    @test dual_bound(program, y, program.lower, program.upper) == bound
    return
end

function test_fixed_variables_stay()
    program = rows_only([0.2, 0.4], [1.0 1.0], [1.0])
    bound, v, _ = solve_pixel_program(program, [0.0, 0.5], [1.0, 0.5])
    @test v ≈ [0.5, 0.5] atol = 1e-5
    @test bound ≈ 0.1 atol = 1e-5
    return
end

end # module TestPixelProgram

TestPixelProgram
