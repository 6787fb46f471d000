"""The independent checker and proofs as they are kept: accepted, and refused of anything else."""

import json

import numpy as np
import pytest

from helpers.checked_mutants import checked
from helpers.kept_proofs import Kept, digit_proof, kept_proof
from reluopt.engines.branch_and_bound import within
from reluopt.engines.proving import proving_engine
from reluopt.questions.norms.base import Norm
from reluopt.questions.verification import Verification
from reluopt_check.__main__ import main
from reluopt_check.files import read


@pytest.fixture(scope="module")
def digits(thesis, test_images):
    """Proofs of one digit by norm and radius."""
    return {
        (norm, eps): digit_proof(thesis, test_images, 0, norm, eps)
        for norm in Norm
        for eps in (None, 0.01)
    }


@pytest.mark.parametrize("eps", [None, 0.01])
@pytest.mark.parametrize("norm", list(Norm))
def test_a_proof_of_a_digit_is_accepted(digits, norm, eps, tmp_path, capsys):
    kept = digits[norm, eps]
    code, text = checked(kept, tmp_path, capsys)
    assert code == 0, text
    claim = kept.fields["claim"]
    about = f"< {claim['bound']!r} meets" if eps is None else f"within {norm} {claim['bound']!r}"
    assert about in text
    assert text.startswith(
        f"proven: network {kept.fields['network_sha256'][:12]} (784, 32, 16, 10)"
    )
    assert "'test:0'" in text
    ending = "by an exact forward pass" if eps is None else "are answered 7"
    assert text.endswith(ending)


@pytest.mark.parametrize("norm", list(Norm))
def test_both_checkers_agree(norm, tmp_path, capsys):
    """What is claimed is what the checker in floating point shows."""
    for seed in range(5):
        kept = kept_proof(np.random.default_rng(seed), norm, verdict=False)
        path, _ = kept.write(tmp_path)
        engine, task = proving_engine(), kept.task()
        bound = kept.fields["claim"]["bound"]
        shown = engine.replay(engine.read_proof(path), kept.network(), task)
        assert shown >= (np.inf if bound is None else bound)
        assert checked(kept, tmp_path, capsys)[0] == 0


def test_both_checkers_agree_on_verdicts(digits, thesis, test_images, tmp_path, capsys):
    kept = digits[Norm.L2, 0.01]
    path, _ = kept.write(tmp_path)
    eps = kept.fields["claim"]["bound"]
    task = Verification(test_images.images[0].reshape(-1), 7, eps, Norm.L2).task(thesis)
    engine = proving_engine()
    assert engine.replay(engine.read_proof(path), thesis, task) == -within.BELOW_ZERO
    kept = kept.copied()
    kept.fields["claim"]["bound"] = 3.0
    code, text = checked(kept, tmp_path, capsys)
    assert code == 1
    assert "a claim about another set" in text


def test_balls_are_bounded_closely_where_one_input_decides(tmp_path, capsys):
    """Slopes of 0.3 and 1e-11 by the radius: roots in float64 cannot tell which is clipped."""
    kept = kept_proof(np.random.default_rng((11, 2)), Norm.L2, verdict=True)
    assert np.ptp(np.abs(kept.weights["layers.0.weight"][1])) > 1.0
    assert checked(kept, tmp_path, capsys)[0] == 0


def _with(kept, change):
    kept = kept.copied()
    change(kept)
    return kept


def _dark(kept):
    kept.tensors["claim.image"] = 0.0 * kept.tensors["claim.image"]


def _other_network(kept):
    kept.weights["layers.0.bias"] = kept.weights["layers.0.bias"] + 0.5


def _one_leaf(kept):
    kept.tensors["tree.0.splits"] = kept.tensors["tree.0.splits"][:-1]


def _far(kept):
    kept.fields["claim"]["bound"] *= 1.0 + 1e-3
    kept.fields["claim"]["incumbent"] = None


CHANGES = [
    (Norm.L1, None, _far, 1, "a claim about another set"),
    (Norm.L1, None, lambda k: k.tensors["tree.0.neurons"].__imul__(0.9), 1, "claimed is"),
    (Norm.L2, None, lambda k: k.tensors["claim.0.neurons"].__imul__(0.9), 1, "claimed is"),
    (Norm.L1, None, _other_network, 1, "about another network"),
    (Norm.L1, None, lambda k: _other_network(k) or k.renamed(), 1, "is no"),
    (Norm.L1, None, _dark, 1, "is no"),
    (Norm.L1, None, _one_leaf, 1, "leaves are missing"),
    (Norm.L1, None, lambda k: k.fields["claim"].update(norm="l2"), 1, "is no"),
    (Norm.L2, None, lambda k: k.tensors["claim.bounds"].__imul__(0.5), 1, "is no lower bound"),
    (Norm.L2, None, lambda k: k.fields["claim"].update(norm="max"), 2, "field 'norm': expected"),
    (Norm.L2, None, lambda k: k.tensors.pop("tree.0.x"), 2, "tensor 'tree.0.x': expected"),
    (Norm.LINF, None, _far, 1, "a claim about another set"),
    (Norm.LINF, 0.01, lambda k: k.fields.update(radius=0.005), 1, "a claim about another set"),
    (
        Norm.LINF,
        0.01,
        lambda k: k.fields["claim"]["stages"].pop(),
        2,
        "alternative 8",
    ),
    (Norm.LINF, 0.01, lambda k: k.fields.pop("claim"), 2, "field 'claim': expected"),
    (
        Norm.LINF,
        0.01,
        lambda k: k.fields["claim"].update(question="distance", bound=0.02),
        1,
        "a claim about another set",
    ),
    (
        Norm.LINF,
        0.01,
        lambda k: k.tensors["claim.3.matrix"].__imul__(0.5),
        1,
        "not those of all other labels",
    ),
]


@pytest.mark.parametrize(("norm", "eps", "change", "expected", "found"), CHANGES)
def test_what_is_something_else_is_refused(
    digits, norm, eps, change, expected, found, tmp_path, capsys
):
    code, text = checked(_with(digits[norm, eps], change), tmp_path, capsys)
    assert (code, found in text) == (expected, True), text
    assert str(tmp_path / "proof.safetensors") in text


def _deep_proof(layers):
    """That no input is nearer than 0, of a chain of single neurons with the least of weights."""
    weights = {f"layers.{k}.weight": np.full((1, 1), 5e-324) for k in range(layers)}
    weights |= {f"layers.{k}.bias": np.zeros(1) for k in range(layers)}
    about = {"activation": "relu", "architecture": {"type": "dense", "sizes": [1] * (layers + 1)}}
    hidden, wide = layers - 1, 1e9
    parts = {"neurons": np.zeros(hidden), "conditions": np.zeros(1), "balls": np.zeros(hidden)}
    tensors = {f"tree.0.{name}": part for name, part in parts.items()}
    tensors |= {f"tree.0.{name}.ends": np.array([part.size]) for name, part in parts.items()}
    tensors |= {"tree.0.splits": np.array([-1]), "tree.0.kinds": np.array([1])}
    tensors |= {f"claim.{name}": np.ones(1) for name in ("image", "upper", "incumbent")}
    tensors |= {"claim.lower": np.zeros(1), "claim.0.matrix": np.ones((1, 1))}
    tensors |= {"claim.0.rhs": np.zeros(1), "claim.0.marked": np.zeros(0, dtype=np.int64)}
    tensors["claim.0.nodes"] = np.zeros((0, 2, hidden))
    tensors["claim.bounds"] = np.broadcast_to([[[-wide], [wide]]], (1, 2, hidden)).copy()
    claim = {"version": 3, "question": "distance", "norm": "l1", "bound": 0.0, "name": "deep"}
    claim |= {"alternatives": 1, "stages": [0], "incumbent": 0}
    return Kept({"radius": None, "claim": claim}, tensors, about, weights).renamed()


def test_numbers_of_too_many_digits_are_an_error(tmp_path, capsys):
    """Exact values of the 20th layer would have 15,000 digits."""
    assert checked(_deep_proof(10), tmp_path, capsys)[0] == 0
    code, text = checked(_deep_proof(20), tmp_path, capsys)
    assert (code, "Inexact" in text) == (2, True), text


def test_tensors_share_no_bytes_and_have_the_type_that_is_asked_for(digits, tmp_path, capsys):
    """A weight 2^53 + 1 has the fingerprint of 2^53, which is a network of other answers."""
    kept = digits[Norm.L1, None].copied()
    kept.weights["layers.2.bias"] = np.round(kept.weights["layers.2.bias"]).astype(np.int64)
    code, text = checked(kept.renamed(), tmp_path, capsys)
    assert (code, "tensor 'layers.2.bias': expected" in text) == (2, True), text
    proof, network = digits[Norm.L1, None].write(tmp_path)
    data = network.read_bytes()
    network.write_bytes(data + bytes(8))
    assert main([str(proof), str(network)]) == 2
    assert "each byte in one tensor" in capsys.readouterr().err


def test_the_image_can_be_asked_for(digits, tmp_path, capsys):
    paths = [str(path) for path in digits[Norm.L1, None].write(tmp_path)]
    assert main([*paths, "0" * 64]) == 1
    own = capsys.readouterr().err.split()[-1]
    assert main([*paths, own]) == 0


def test_inputs_are_said_to_be_those_that_all_lie_in_the_box(digits, tmp_path, capsys):
    """A box of the image alone holds a proof of any radius, and pixels of 0 and of 1."""
    kept = digits[Norm.L1, 0.01].copied()
    image = kept.tensors["claim.image"].astype(float)
    kept.tensors |= {"claim.lower": image, "claim.upper": image}
    code, text = checked(kept, tmp_path, capsys)
    assert (code, f"inputs from {float(image.max())!r} to 0.0:" in text) == (0, True), text


@pytest.mark.parametrize("name", ["F64\nproven: everything", "F16"])
def test_types_of_tensors_are_told_in_one_short_line(digits, name, tmp_path, capsys):
    proof, network = digits[Norm.L1, None].write(tmp_path)
    data = proof.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["claim.image"] |= {"dtype": name}
    text = json.dumps(header).encode()
    proof.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
    assert main([str(proof), str(network)]) == 2
    told = capsys.readouterr().err
    assert "tensor 'claim.image': expected" in told
    assert told.count("\n") == 1


def test_parts_of_leaves_share_no_numbers(digits, tmp_path, capsys):
    """Ends that go to and fro would let every leaf have all."""
    kept = digits[Norm.L2, None].copied()
    ends = kept.tensors["claim.0.products.ends"]
    kept.tensors["claim.0.products.ends"] = np.where(np.arange(ends.size) % 2, 0, ends[-1])
    proof, _ = kept.write(tmp_path)
    pieces = [*read(str(proof)).pieces("claim.0.products", ends.size)]
    assert [len(piece) for piece in pieces] == [ends[-1], *[0] * (ends.size - 1)]


def test_options_and_files_that_are_none(digits, tmp_path, capsys):
    proof, network = map(str, digits[Norm.L1, None].write(tmp_path))
    convolution = tmp_path / "convolution.safetensors"
    kept = _with(digits[Norm.L1, None], lambda k: k.about.update(architecture={"type": "layers"}))
    kept.write(tmp_path)[1].rename(convolution)
    digits[Norm.L1, None].write(tmp_path)
    for arguments, found in (
        ([proof], "expected PROOF NETWORK"),
        ([proof, str(tmp_path)], "Is a directory"),
        ([proof, str(tmp_path / "none")], "No such file"),
        ([proof, proof], "field 'activation'"),
        ([network, network], "field 'network_sha256'"),
        ([proof, str(convolution)], "expected dense layers of"),
    ):
        assert main(arguments) == 2
        text = capsys.readouterr().err
        assert found in text
        assert text.count("\n") == 1
