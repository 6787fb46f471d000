# %% [markdown]
# # Smallest adversarial images by mixed-integer programming
#
# An assignment in eight exercises: theory in brief, a task, and worked code with checks (`assert`)
# that must pass. It takes about half a minute on a laptop, the first time half a minute
# more, since kernels are compiled.
#
# You need `pip install '.[train]'` in the repository (without scikit-learn, exercise 2 loads a
# network instead of training one). This file is a notebook for VS Code and Jupytext;
# `tutorial.ipynb` is the same for Jupyter, and `python docs/tutorial.py` runs it all. Figures are
# saved in the folder `tutorial-figures`.
#
# Notation: a network has layers $k = 1..K$ with pre-activations $a^k = W^k x^{k-1} + b^k$ and
# $x^k = \max(0, a^k)$, except that $x^K = a^K$ are the logits; it *answers* the label with the
# largest one. The input $x^0$ is an image with 784 pixels in $[0, 1]$.

# %%
from itertools import pairwise
from pathlib import Path

import numpy as np

from reluopt import (
    BareRelativeMargin,
    Box,
    Classification,
    EngineOptions,
    EngineUnavailableError,
    FixedTarget,
    InputSet,
    Method,
    MinimalPerturbation,
    Norm,
    OptimalInput,
    PreActivationBounds,
    RelativeMargin,
    ScikitRecipe,
    Status,
    Task,
    compute_bounds,
    encode,
    evaluate,
    load_images,
    load_network,
    solve,
    train,
)
from reluopt.figures import digit_figure, optimal_input_figure, perturbation_figure, save_figure

FOLDER = Path("tutorial-figures")
PATIENT = EngineOptions(time_limit=600.0)  # seconds; enough on a slow or busy machine


def show(figure, name):
    """Save a figure, and show it where this runs as a notebook."""
    path = save_figure(figure, FOLDER / f"{name}.png")[0]
    if "get_ipython" in globals():
        from IPython.display import Image, display

        display(Image(str(path)))
    else:
        print("wrote", path)


# %% [markdown]
# ## Exercise 1: Look at the data
#
# MNIST holds handwritten digits of 28 by 28 pixels, 0 black and 1 white.
#
# **Task.** Load the test images. How many are there of each digit? Draw the first of each. Which
# pixels are black in every single training image? Remember them: training cannot learn anything
# about the weights of such a pixel, and the smallest changes will find that out.

# %%
training, test = load_images("train"), load_images("test")
counts = np.bincount(test.labels)
print("test images of each digit:", dict(enumerate(counts.tolist())))

first = [int(np.flatnonzero(test.labels == digit)[0]) for digit in range(10)]
show(
    digit_figure(
        [test.image(i) for i in first], list(range(10)), [f"test image {i}" for i in first]
    ),
    "digits",
)

always_black = (training.pixels == 0).all(axis=0)
print(int(always_black.sum()), "of 784 pixels are black in every training image at hand")

assert counts.sum() == len(test) == 10_000
assert always_black[0].all(), "the top row is always black"

# %% [markdown]
# ## Exercise 2: A network
#
# **Task.** Train a small network with one hidden layer of 16 neurons (Adam on the cross-entropy of
# the logits), and measure its accuracy. Then compute the logits of the first test image by hand,
# from weights and biases, and compare.

# %%
short = ScikitRecipe("short", epochs=5, batch_size=128, learning_rate=0.001)
try:
    own = train(training.images, training.labels, (16,), short, seed=0)
except EngineUnavailableError as missing:
    print(missing)
    own = load_network("thesis")

accuracy = evaluate(own, test.images, test.labels).accuracy
print(f"{'-'.join(map(str, own.sizes))}: {100 * accuracy:.1f} % of the test images right")

values = test.image(0).ravel()
for number, layer in enumerate(own.layers, start=1):
    values = layer.weight @ values + layer.bias
    if number < len(own.layers):
        values = np.maximum(values, 0.0)

assert accuracy > 0.85
assert np.allclose(values, own.forward(test.image(0)))

# %% [markdown]
# From here on we use a bundled network, so that your numbers are those of your neighbour: `thesis`
# with two hidden layers of 32 and 16 neurons. Our example is the first test image, a seven.

# %%
network = load_network("thesis")
image, label = test.image(0), test.label(0)
logits = network.forward(image)
print("logits:", np.round(logits, 2), "answer:", network.predict(image))

assert network.predict(image) == label == 7

# %% [markdown]
# ## Exercise 3: The network as a mixed-integer program
#
# A ReLU $x = \max(0, a)$ is not linear, but with a binary $z$ it can be written by linear rows.
# Split the pre-activation into its positive and negative parts, $a = x - s$ with $x, s \ge 0$, and
# let $z$ forbid that both are positive (Fischetti & Jo 2018; Grimstad & Andersson 2019):
#
# $$W x^{k-1} + b = x^k - s^k, \quad 0 \le x^k \le U z^k, \quad 0 \le s^k \le -L (1 - z^k),
#   \quad z^k \in \{0, 1\}.$$
#
# The constants $L \le a \le U$ are bounds on the pre-activation, often just $\pm M$ with a big $M$.
#
# **Task.** Write the classification of the image as this program with $M = 1000$, in the form of
# the thesis: $x$, $s$ and $z$ for each of the 58 neurons. Put the values of a forward pass into
# it: every row must hold. Then flip the phase $z$ of one neuron, and then choose an $M$ that is too
# small, and see rows break.

# %%
fixed = Task.largest_logit(label, Box(image.ravel(), image.ravel()))
region = InputSet(fixed.box)
problem = encode(network, fixed, compute_bounds("thesis", network, region), "thesis")
values = problem.start(image.ravel())
print(problem.program.size)
print("largest violation by the forward pass:", problem.program.violation(values))

flipped = values.copy()
some_phase = problem.network.layers[0].z[0]
flipped[some_phase] = 1.0 - flipped[some_phase]
print("... with one phase flipped:", round(problem.program.violation(flipped), 3))

small = [np.full(size, 1.0) for size in network.sizes[1:]]
too_small = PreActivationBounds(tuple(-m for m in small), tuple(small), "M = 1")
cut_off = encode(network, fixed, too_small, "thesis")
print("... with M = 1:", round(cut_off.program.violation(cut_off.start(image.ravel())), 3))

assert problem.program.size["variables"] == 784 + 3 * 58
assert problem.program.size["binaries"] == 58
assert problem.program.violation(values) < 1e-9
assert problem.program.violation(flipped) > 1e-3
assert cut_off.program.violation(cut_off.start(image.ravel())) > 1.0

# %% [markdown]
# **Task.** Now let a solver find the logits, and compare with the forward pass.

# %%
answer = solve(network, Classification(image), Method(engine="highs", formulation="thesis"))
print(answer.status, "- the program and the forward pass agree:", answer.certified)

assert answer.status is Status.OPTIMAL
assert answer.certified, "the program's logits are those of the forward pass"

# %% [markdown]
# ## Exercise 4: The smallest change
#
# Let the image $x^0$ be free in $[0, 1]^{784}$ and minimise its distance from the original, such
# that the network answers the target $t$ with a margin:
#
# $$\min \|x^0 - \text{image}\| \quad \text{s.t.} \quad x^K_t \ge 1.2\, x^K_j, \quad
#   x^K_t > x^K_j \qquad (j \ne t).$$
#
# In the L1 norm, $\sum |\delta|$, this is a linear objective; in the L2 norm we minimise
# $\sum \delta^2$.
#
# **Task.** Make the seven a two, in both norms. Do not believe the solver: recompute distance, box
# and answer by yourself. Which of the two changes fewer pixels? Are some of them always black?


# %%
def check(solution, norm, target):
    """Everything that was promised about a perturbed image, from the image alone."""
    delta = solution.image.ravel() - image.ravel()
    size = {
        Norm.L1: np.abs(delta).sum(),
        Norm.L2: (delta**2).sum(),
        Norm.LINF: np.abs(delta).max(),
    }[norm]
    assert np.isclose(size, solution.objective, rtol=1e-9), "the objective is the one claimed"
    assert 0.0 <= solution.image.min() <= solution.image.max() <= 1.0, "it is an image"
    assert network.predict(solution.image) == target, "the network answers the target"
    assert solution.bound >= solution.objective * (1 - 1.001e-6), "nothing is nearer, to the gap"


nearest = {}
for norm in (Norm.L1, Norm.L2):
    nearest[norm] = solve(network, MinimalPerturbation(image, label, FixedTarget(2), norm))
    check(nearest[norm], norm, 2)
    delta = nearest[norm].image.ravel() - image.ravel()
    changed = np.abs(delta) > 1e-6
    print(
        f"{norm}: distance {norm.distance_of(nearest[norm].objective):.4f}, {changed.sum()} pixels "
        f"changed, {changed[always_black.ravel()].sum()} of them always black, "
        f"{nearest[norm].nodes} nodes"
    )
    show(
        perturbation_figure(
            [image],
            [nearest[norm].image.reshape(28, 28)],
            labels=[label],
            predicted_original=[int(network.predict(image))],
            predicted_changed=[int(network.predict(nearest[norm].image))],
            distances=[norm.distance_of(nearest[norm].objective)],
            norm=str(norm),
            proven=[nearest[norm].status is Status.OPTIMAL],
        ),
        f"nearest-{norm}",
    )

# Each is the best in its own norm.
changes = {norm: nearest[norm].image.ravel() - image.ravel() for norm in nearest}
for norm, other in ((Norm.L1, Norm.L2), (Norm.L2, Norm.L1)):
    assert norm.objective(changes[norm]) <= norm.objective(changes[other])
pixels = {norm: int((np.abs(changes[norm]) > 1e-6).sum()) for norm in changes}
assert pixels[Norm.L1] < pixels[Norm.L2]

# %% [markdown]
# ## Exercise 5: Margins, and a trap
#
# **Task.** How does the distance grow when the target's logit must lead by 0, 10, 20, 50 or
# 100 %?

# %%
distances = []
for percent in (0, 10, 20, 50, 100):
    margin = RelativeMargin(percent / 100)
    solution = solve(network, MinimalPerturbation(image, label, FixedTarget(2), Norm.L1, margin))
    check(solution, Norm.L1, 2)
    distances.append(solution.objective)
    print(f"margin {percent:3d} %: L1 distance {solution.objective:.4f}")

assert all(low <= high * (1 + 1e-6) for low, high in pairwise(distances))

# %% [markdown]
# The condition $x_t \ge 1.2\, x_j$ alone is not enough. **Task.** Let $x_j = -1$. Which
# $x_t < x_j$ satisfy it? Then solve the bare condition for the fifth test image, a four, with
# target 9, and run the network on the optimum.

# %%
four, nine = test.image(4), 9
bare = solve(
    network, MinimalPerturbation(four, 4, FixedTarget(nine), Norm.L1, BareRelativeMargin(0.2))
)
bare_logits = network.forward(bare.image)
print(bare.status, "- the network answers", network.predict(bare.image))
print("logit of 9:", bare_logits[nine], "largest logit:", bare_logits.max())

honest = solve(network, MinimalPerturbation(four, 4, FixedTarget(nine), Norm.L1))
print(f"distance {bare.objective:.4f} fools nobody; the nearest nine is at {honest.objective:.4f}")

assert 1.2 * -1.0 <= -1.1 < -1.0
assert bare.status is Status.NOT_ADVERSARIAL
assert (bare_logits[nine] >= 1.2 * np.delete(bare_logits, nine) - 1e-6).all()
assert network.predict(bare.image) != nine
assert network.predict(honest.image) == nine
assert honest.objective > bare.objective

# %% [markdown]
# ## Exercise 6: A budget
#
# Now turn the question around: every pixel may change by at most $\varepsilon$, and we make the
# logit of a wrong class as large as possible,
#
# $$\max x^K_t \quad \text{s.t.} \quad \max(0, \text{image} - \varepsilon) \le x^0 \le
#   \min(1, \text{image} + \varepsilon).$$
#
# **Task.** Take the three as wrong class. At which $\varepsilon$ does the answer flip?

# %%
target, budgets = 3, (0.02, 0.03, 0.04, 0.05)


def within(budget):
    """Images whose pixels all differ by ``budget`` at most."""
    return Box(np.maximum(image.ravel() - budget, 0.0), np.minimum(image.ravel() + budget, 1.0))


best = [
    solve(network, OptimalInput(target, within(budget)), Method(options=PATIENT))
    for budget in budgets
]
answers = [int(network.predict(solution.image)) for solution in best]
for budget, solution, answered in zip(budgets, best, answers, strict=True):
    print(f"eps {budget:.2f}: logit of {target} up to {solution.objective:.4f}, answer {answered}")

show(
    optimal_input_figure(
        [solution.image.reshape(28, 28) for solution in best],
        labels=[target] * len(best),
        logits=[solution.objective for solution in best],
        predicted=answers,
        proven=[solution.status is Status.OPTIMAL for solution in best],
    ),
    "budget",
)

largest = [solution.objective for solution in best]
assert all(solution.certified for solution in best)
assert logits[target] < largest[0]
assert largest == sorted(largest)
assert all(
    np.abs(solution.image.ravel() - image.ravel()).max() <= budget + 1e-9
    for budget, solution in zip(budgets, best, strict=True)
)
assert answers == [7, 7, 7, 3]

# %% [markdown]
# Is the $\varepsilon$ at which this answer flips the exact robustness in the largest-change norm?
# **Task.** Compute that by the smallest Linf change to the three, and explain the difference.
# (Solution: the largest logit of the three is of no use while that of the seven is larger still;
# the smallest change looks at their difference.)

# %%
exact = solve(
    network,
    MinimalPerturbation(image, label, FixedTarget(target), Norm.LINF, RelativeMargin(0)),
    Method(options=PATIENT),
)
check(exact, Norm.LINF, target)
print(
    f"smallest eps for a {target}: {exact.objective:.5f}, which is {255 * exact.objective:.1f}"
    " grey levels of 255"
)

assert budgets[0] < exact.objective < budgets[2], "a three is nearer than that"
assert answers[2] == label, "where the largest logit of the three still loses"

# %% [markdown]
# ## Exercise 7: Bounds and binaries
#
# The tighter the bounds $L \le a \le U$, the fewer binaries: a neuron with $L \ge 0$ or $U \le 0$
# is *stable* and needs none.
#
# **Task.** For several $\varepsilon$, count the neurons that stay unstable with $\pm 1000$,
# interval arithmetic, linear (CROWN) and LP-based bounds.

# %%
names = ("thesis", "interval", "linear", "lp")
print("eps   " + "".join(f"{name:>10}" for name in names))
for budget in (0.01, 0.05, 0.2, 1.0):
    region = InputSet(within(budget))
    unstable = [compute_bounds(name, network, region).unstable_count for name in names]
    print(f"{budget:.2f}  " + "".join(f"{count:10d}" for count in unstable))
    assert unstable[0] == 48, "a constant M leaves every hidden neuron undecided"
    assert unstable == sorted(unstable, reverse=True)

# %% [markdown]
# A bound needs to hold only for inputs that could be better than the best image found so far: they
# lie in the *ball* of its distance around the original.
#
# **Task.** Solve exercise 4 in L1 with this program on HiGHS, and with our own branch and bound,
# which brings its own relaxation. Compare optima, nodes and seconds, and the number of binaries
# with the thesis' 58.

# %%
rivals = {
    "bnb": Method(engine="bnb"),
    "highs": Method(engine="highs", bounds="ball", options=PATIENT),
}
solutions = {
    name: solve(network, MinimalPerturbation(image, label, FixedTarget(2), Norm.L1), method)
    for name, method in rivals.items()
}
for name, solution in solutions.items():
    check(solution, Norm.L1, 2)
    print(
        f"{name:6} {solution.objective:.6f} in {solution.nodes} nodes, "
        f"{solution.timings.total:.2f} s, binaries: {solution.size.get('binaries', 'none')}"
    )

assert np.isclose(solutions["bnb"].objective, solutions["highs"].objective, rtol=1e-5)
assert solutions["highs"].size["binaries"] < 58

# %% [markdown]
# ## Exercise 8: Questions to close with
#
# 1. Which bound must a solver report when it runs out of time: its incumbent or its dual bound?
#    Why does the difference matter for a claim of robustness?
# 2. Replace `network` by your own network of exercise 2 and run exercises 4 and 6 again. Is a
#    network with better accuracy more robust? (Try the bundled `thesis-96`.)
# 3. `AnyTarget()` asks for the nearest image of *any* other class. Which targets do sevens take?
# 4. With $M = 1000$ and an integrality tolerance of $10^{-6}$, how far can a closed neuron
#    ($z = 10^{-6}$) still let through? How does `reluopt` guard against it?
# 5. In exercise 4 the L1 change uses pixels that are always black. How would you train a network
#    that does not allow this?
# 6. Exercise 6 asked for the largest logit. Write down the program that maximises
#    $x^K_3 - x^K_7$ instead. Its optimum is zero at which $\varepsilon$?
#
# Exact distances of a whole test set, more norms and the time it takes: [results](results.md). How
# the branch and bound proves its answers: [the exact engine](engine.md).
