"""``reluopt compile``."""


def test_compiles_once(run):
    assert run("compile", "bounds", "--workers", "2")[0] == 0
    code, out, err = run("compile", "bounds")
    assert (code, out) == (0, "")
    assert err == "all kernels have been compiled before\n"


def test_refuses_what_there_is_not(run):
    code, _, err = run("compile", "l3")
    assert code == 2
    sets = "attacks, regions, bounds, balls, l1, l2, box, simplex"
    assert err == f"error: SET: expected some of {sets}, found 'l3'\n"
    assert run("compile", "--workers", "0")[0] == 2
