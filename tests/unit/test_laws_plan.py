import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vvscale.errors import DataError, FitError, MissingDataError, UsageError
from vvscale.laws import LAWS, bootstrap, fit_law
from vvscale.laws.comparison.assess import assess
from vvscale.laws.planning.allocate import optimum
from vvscale.laws.planning.cost import Cost, family_cost, fit_cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import plan, worst_allocations
from vvscale.laws.planning.support import Support
from vvscale.laws.planning.target import budget_for
from vvscale.laws.workflow.save import load_joint, save_fits

LAW = JointLaw(E=0.5, A=150.0, alpha=0.58, B=8.0, beta=0.22)
COST = Cost(m=6.0, p=1.0, q=1.0, source="6 N D")


def models(seed: int = 0, n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    size, samples = 10 ** rng.uniform(5, 8, n), 10 ** rng.uniform(5, 9, n)
    misalignment = 0.4 + 20 * size**-0.4 + 3 * samples**-0.25
    return pd.DataFrame(
        {
            "model_id": [f"m{i:03d}" for i in range(n)],
            "arch": [f"a{i % 15:02d}" for i in range(n)],
            "family": np.where(np.arange(n) % 2, "one", "two"),
            "n_params": size,
            "samples_seen": samples,
            "forward_flop": 30 * size**0.9,
            "train_flop": 5.0 * (size * samples) ** 1.05,
            "misalignment": misalignment * np.exp(rng.normal(0, 0.002, n)),
        }
    )


def test_closed_form_equals_a_fine_scan_of_the_budget_line():
    cost = Cost(m=333.0, p=1.03, q=0.97, source="test")
    n = np.geomspace(1e3, 1e12, 400_001)
    d = cost.samples(1e20, n)
    scanned = n[np.argmin(LAW.misalignment(n, d))]
    best_n, best_d = optimum(LAW, cost, 1e20)
    assert best_n == pytest.approx(scanned, rel=1e-3)
    assert cost.flop(best_n, best_d) == pytest.approx(1e20, rel=1e-12)


def test_the_study_s_formula_with_g_the_right_way_up():
    m, n = 333.09, 1.0279
    p = plan(LAW, 1e18, Cost(m, n, n, "study"))
    a, b = LAW.beta / (LAW.alpha + LAW.beta), LAW.alpha / (LAW.alpha + LAW.beta)
    g = (LAW.alpha * LAW.A / (LAW.beta * LAW.B)) ** (1 / (LAW.alpha + LAW.beta))
    assert p.n_params == pytest.approx(g * (1e18 / m) ** (a / n), rel=1e-12)
    assert p.samples_seen == pytest.approx((1e18 / m) ** (b / n) / g, rel=1e-12)
    assert (p.n_exponent, p.d_exponent) == pytest.approx((a / n, b / n))


def test_bounds_bind_and_are_named():
    free = plan(LAW, 1e18, COST)
    small = plan(LAW, 1e18, COST, n_bounds=(None, free.n_params / 10))
    assert small.n_params == pytest.approx(free.n_params / 10)
    assert small.bound == "N at its upper bound"
    assert small.score < free.score
    assert COST.flop(small.n_params, small.samples_seen) == pytest.approx(1e18)
    few = plan(LAW, 1e18, COST, d_bounds=(None, free.samples_seen / 7))
    assert few.samples_seen == pytest.approx(free.samples_seen / 7)
    assert few.bound == "D at its upper bound"
    loose = plan(LAW, 1e18, COST, n_bounds=(1.0, 1e30), d_bounds=(1.0, 1e30))
    assert (loose.n_params, loose.bound) == (pytest.approx(free.n_params), "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": 0.0}, "positive number of FLOP, got 0"),
        ({"budget": np.inf}, "positive number of FLOP, got inf"),
        ({"budget": 1e18, "n_bounds": (-1.0, None)}, "must be positive, got -1"),
        ({"budget": 1e18, "n_bounds": (1e9, 1e8)}, "No allocation of 1e[+]18 FLOP meets the bounds"),
        ({"budget": 1e18, "n_bounds": (None, 10.0), "d_bounds": (None, 10.0)}, "D at its upper bound needs N >="),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        plan(LAW, cost=COST, **arguments)


def test_a_law_without_an_optimum_is_refused():
    with pytest.raises(FitError, match=r"alpha = -0\.1") as error:
        JointLaw(E=0.5, A=1.0, alpha=-0.1, B=1.0, beta=0.2)
    assert error.value.exit_code == 5


def test_target_budget_inverts_the_plan():
    for budget in (1e14, 1e20, 1e26):
        score = plan(LAW, budget, COST).score
        assert budget_for(LAW, score, COST).budget == pytest.approx(budget, rel=1e-6)


def test_a_target_beyond_the_plateau_says_so():
    answer = budget_for(LAW, 0.51, COST)
    assert answer.budget is None
    assert "beyond this law's plateau of 0.5" in answer.words
    with pytest.raises(UsageError, match="between 0 and 1"):
        budget_for(LAW, 1.2, COST)


def test_resamples_make_intervals_and_are_each_replanned():
    table = models()
    fit = fit_law(table, law="joint", x=["n_params", "samples_seen"])
    resampled = bootstrap(fit, 200, by="row")
    law = JointLaw.from_fit(fit, resampled)
    made = plan(law, 1e16, COST)
    assert made.score_interval is not None
    assert made.n_interval is not None
    assert made.score_interval[0] < made.score < made.score_interval[1]
    assert made.n_interval[0] < made.n_params < made.n_interval[1]
    one = {name: values[:1] for name, values in law.draws.items()}
    alone = JointLaw(**{name: float(values[0]) for name, values in one.items()})
    pinned = plan(JointLaw(law.E, law.A, law.alpha, law.B, law.beta, one), 1e16, COST)
    # One draw, and the estimate is never outside of what stands beside it.
    assert pinned.score_interval == pytest.approx(sorted((plan(alone, 1e16, COST).score, pinned.score)))
    assert made.n_exponent_interval[0] < made.n_exponent < made.n_exponent_interval[1]
    assert made.d_exponent_interval == pytest.approx(tuple(1 - end for end in made.n_exponent_interval[::-1]))


def test_resamples_without_an_optimum_are_counted_not_hidden():
    draws = {
        "E": np.full(4, 0.5),
        "A": np.full(4, 150.0),
        "alpha": np.array([0.5, 0.6, -0.1, 0.55]),
        "B": np.full(4, 8.0),
        "beta": np.full(4, 0.22),
    }
    law = JointLaw(E=0.5, A=150.0, alpha=0.58, B=8.0, beta=0.22, draws=draws)
    assert plan(law, 1e18, COST).share_without_optimum == 0.25


def test_cost_is_recovered_from_a_table():
    cost = fit_cost(models())
    assert (cost.m, cost.p, cost.q) == pytest.approx((5.0, 1.05, 1.05))
    one = family_cost(models(), "one")
    assert (one.m, one.p, one.q) == pytest.approx((90.0, 0.9, 1.0))
    with pytest.raises(UsageError, match="Families here: one, two"):
        family_cost(models(), "three")
    with pytest.raises(MissingDataError, match="train_flop"):
        fit_cost(models().drop(columns="train_flop"))
    with pytest.raises(UsageError, match="positive finite numbers"):
        Cost(-1.0, 1.0, 1.0, "")


def test_worst_allocations_lose_nothing_at_the_optimum():
    best_n, best_d = optimum(LAW, COST, np.array([1e15, 1e18]))
    table = pd.DataFrame(
        {
            "model_id": ["good", "good2", "greedy"],
            "n_params": [*best_n, best_n[0] * 100],
            "samples_seen": [*best_d, best_d[0] / 100],
        }
    )
    worst = worst_allocations(LAW, table, COST)
    assert worst["model_id"].tolist()[0] == "greedy"
    assert worst["lost_score"].tolist()[0] > 0.01
    np.testing.assert_allclose(worst["lost_score"].to_numpy()[1:], 0.0, atol=1e-12)


def test_a_saved_joint_fit_plans_as_the_fit_itself(tmp_path):
    fit = fit_law(models(), law="joint", x=["n_params", "samples_seen"])
    resampled = bootstrap(fit, 50)
    cost = fit_cost(fit.problem.frame)
    verdict = assess(fit)
    support = Support.from_rows(fit.problem.frame, fit.problem.columns).to_dict()
    entry = joint_entry(
        fit, intervals={"arch": resampled.to_dict()}, cost=dict(cost.__dict__), verdict=verdict.to_dict(),
        support=support,
    )  # fmt: skip
    written = save_fits(tmp_path, [entry], {"arch": {"mine": resampled.table()}})
    assert sorted(path.name for path in written) == ["bootstrap_arch.parquet", "fits.json"]
    saved = load_joint(tmp_path)
    here = plan(JointLaw.from_fit(fit, resampled, verdict=verdict), 1e17, cost)
    there = plan(saved.law, 1e17, saved.cost)
    assert there.to_dict() == here.to_dict()


def joint_entry(fit, name="mine", **more):
    told = {"intervals": {}, "outcome": "misalignment", "verdict": {"plateau": "identified"}}
    return {"name": name, "form": "joint", **fit.to_dict(), **told, **more}


def test_resamples_of_another_fit_are_never_taken(tmp_path):
    first, second = models(1), models(2)
    columns = ["n_params", "samples_seen"]
    fit = fit_law(first, law="joint", x=columns)
    resampled = bootstrap(fit, 20)
    entry = joint_entry(fit, intervals={"arch": resampled.to_dict()})
    save_fits(tmp_path, [entry], {"arch": {"mine": resampled.table()}})
    # The same folder and name, another table, no resamples: the old ones are not this fit's.
    save_fits(tmp_path, [joint_entry(fit_law(second, law="joint", x=columns))], {})
    assert load_joint(tmp_path).law.draws == {}
    # Resamples overwritten behind a fit's back are refused.
    save_fits(tmp_path, [entry], {"arch": {"mine": resampled.table()}})
    bootstrap(fit, 20, seed=1).table().to_parquet(tmp_path / "bootstrap_arch.parquet")
    with pytest.raises(DataError, match="are not those of the fit 'mine'"):
        load_joint(tmp_path)


@pytest.mark.parametrize("x", [["samples_seen", "n_params"], ["n_params", "train_flop"]])
def test_a_fit_in_other_inputs_is_refused(tmp_path, x):
    save_fits(tmp_path, [joint_entry(fit_law(models(), law="joint", x=x, missing="drop"))], {})
    with pytest.raises(UsageError, match="in this order"):
        load_joint(tmp_path)


def test_a_group_is_planned_with_its_own_amplitude(tmp_path):
    table = models()
    table.loc[table["family"] == "two", "misalignment"] += 3 * table["samples_seen"] ** -0.25
    fit = fit_law(table, law="joint", x=["n_params", "samples_seen"], offsets=["B"], offset_by="family")
    ratio = fit.params["B[two]/B[one]"]
    resampled = bootstrap(fit, 30)
    entry = joint_entry(fit, intervals={"arch": resampled.to_dict()})
    save_fits(tmp_path, [entry], {"arch": {"mine": resampled.table()}})
    with pytest.raises(UsageError, match="Say which with `group`"):
        load_joint(tmp_path)
    with pytest.raises(UsageError, match="groups are one, two"):
        load_joint(tmp_path, group="three")
    one, two = load_joint(tmp_path, group="one").law, load_joint(tmp_path, group="two").law
    assert pytest.approx(ratio) == two.B / one.B
    assert pytest.approx(2.0, rel=0.1) == two.B / one.B
    assert two.A == one.A
    np.testing.assert_allclose(two.draws["B"] / one.draws["B"], resampled.params["B[two]/B[one]"])


def test_several_joint_fits_need_a_name(tmp_path):
    fit = fit_law(models(), law="joint", x=["n_params", "samples_seen"])
    save_fits(tmp_path, [joint_entry(fit, "a"), joint_entry(fit, "b")], {})
    with pytest.raises(UsageError, match="several joint fits: a, b"):
        load_joint(tmp_path)
    assert load_joint(tmp_path, "b").name == "b"


def test_a_target_within_bounds_costs_more_and_may_be_out_of_reach():
    free = budget_for(LAW, 0.4, COST)
    best = plan(LAW, free.budget, COST)
    held = budget_for(LAW, 0.4, COST, n_bounds=(None, best.n_params / 4))
    assert held.budget > free.budget
    assert plan(LAW, held.budget, COST, n_bounds=(None, best.n_params / 4)).score == pytest.approx(0.4, rel=1e-6)
    loose = budget_for(LAW, 0.4, COST, n_bounds=(1.0, 1e12), d_bounds=(1.0, 1e15))
    assert loose.budget == pytest.approx(free.budget, rel=1e-6)
    never = budget_for(LAW, 0.4, COST, n_bounds=(None, 10.0))
    assert never.budget is None
    assert "out of reach within these bounds" in never.words
    both = budget_for(LAW, 0.4, COST, n_bounds=(None, best.n_params), d_bounds=(None, best.samples_seen))
    assert both.budget == pytest.approx(free.budget, rel=1e-6)


def test_what_leaves_units_out_gives_a_t_interval():
    draws = {name: np.full(4, getattr(LAW, name)) for name in ("A", "alpha", "B", "beta")}
    draws["E"] = np.array([0.5, 0.52, 0.48, 0.51])
    law = JointLaw(LAW.E, LAW.A, LAW.alpha, LAW.B, LAW.beta, draws, "family", degrees=3.0)
    made = plan(law, 1e20, COST)
    assert made.method == "CRV3-t"
    reach = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * ((draws["E"] - 0.5) ** 2).sum())
    assert made.score_interval == pytest.approx((made.score - reach, made.score + reach))
    # The scatter of costs is an error of its own, independent of the law's.
    scattered = plan(law, 1e20, replace(COST, scatter=0.3))
    step = (plan(law, 1e20 * 10**0.3, COST).score - plan(law, 1e20 / 10**0.3, COST).score) / 2
    wide = reach * np.hypot(1.0, step / (reach / stats.t.ppf(0.975, 3)))
    assert scattered.score_interval == pytest.approx((made.score - wide, made.score + wide))


def test_what_is_not_a_file_of_joint_fits_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="No fit at"):
        load_joint(tmp_path)
    (tmp_path / "fits.json").write_text('[{"name": "a", "form": "power"}]')
    with pytest.raises(MissingDataError, match=r"holds no joint fit \(found a\)"):
        load_joint(tmp_path)
    (tmp_path / "fits.json").write_text('[{"name": "j", "form": "joint"}]')
    with pytest.raises(DataError, match="not a file of fits"):
        load_joint(tmp_path)
    (tmp_path / "fits.json").write_text('[{"name": ')
    with pytest.raises(Exception, match="not a file of fits") as error:
        load_joint(tmp_path)
    assert error.value.exit_code == 3
    with pytest.raises(UsageError, match="needs a joint law"):
        JointLaw.from_params(LAWS["power"], {"E": 0.5}, [1.0])


def test_a_plan_is_plain_json():
    made = plan(LAW, 1e18, COST)
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["n_params"] == made.n_params
    assert "parameters N" in made.table()["quantity"].tolist()
    assert "1e+18 FLOP" in made._repr_html_()


def test_the_intervals_of_a_plan_are_of_95_percent():
    """Of laws that differ in E alone the plan's score moves one to one with it."""
    n = 2001
    same = {name: np.full(n, getattr(LAW, name)) for name in ("A", "alpha", "B", "beta")}
    drawn = replace(LAW, draws={**same, "E": np.linspace(0.4, 0.6, n)}, unit="row")
    made = plan(drawn, 1e16, COST)
    rest = LAW.misalignment(made.n_params, made.samples_seen) - LAW.E
    # 2.5 % of the draws lie below .405 and above .595.
    assert made.score_interval == pytest.approx((1 - 0.595 - rest, 1 - 0.405 - rest), abs=1e-9)


SUPPORT = Support({"n_params": (1e5, 3e8), "samples_seen": (5e4, 4.3e8), "train_flop": (1e14, 1.5e20)}, 1.44e6, True)


def test_what_lies_beyond_the_rows_is_a_warning_with_its_factor():
    law = replace(LAW, support=SUPPORT)
    inside = plan(law, 1e15, COST, n_bounds=(1e6, 1e8))
    assert inside.warnings == ()
    made = plan(law, 1e21, COST)
    beyond = {each.quantity: each for each in made.warnings}
    assert beyond["samples_seen"].factor == pytest.approx(made.samples_seen / 4.3e8)
    assert beyond["samples_seen"].epochs == pytest.approx(made.samples_seen / 1.44e6)
    assert beyond["train_flop"].factor == pytest.approx(1e21 / 1.5e20)
    stored = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert {each["quantity"] for each in stored["warnings"]} == set(beyond)
    assert any(line.startswith("Warning: ") and "times beyond the largest" in line for line in made.words())
    assert made.is_advised is stored["is_advised"] is (max(each.factor for each in made.warnings) <= 10)
    far = plan(law, 1e23, COST)
    assert not far.is_advised
    assert far.words()[0].startswith("1e+23 FLOP: Nothing is advised more than 10 times beyond the rows")
    assert "at least 1e+22 training FLOP" in far.words()[0]
    near = plan(law, 1.6e20, COST, n_bounds=(1e8, 3e8))
    assert not any("advised" in line for line in near.words() if near.is_advised)
    below = plan(law, 1e10, COST, n_bounds=(1e3, 1e4))
    assert {each.limit for each in below.warnings if each.quantity == "n_params"} == {1e5}
    target = budget_for(law, 0.45, COST)
    assert target.warnings
    assert target.to_dict()["warnings"][0]["factor"] > 1
    assert ("Nothing is advised" in target.words) is any(each.is_far for each in target.warnings)


def test_the_rows_support_is_read_off_them_and_names_what_epochs_hide():
    table = models().assign(parent_family=models()["family"], n_samples=1e4)
    table["n_epochs"] = np.where(table["parent_family"] == "one", 100, 300)
    support = Support.from_rows(table)
    assert support.spans["n_params"] == (table["n_params"].min(), table["n_params"].max())
    assert support.n_samples == 1e4
    assert "epochs are fixed by family" in support.notes()[0]
    assert Support.from_rows(table.assign(n_epochs=100)).notes() == ()
    assert Support.from_rows(table.assign(n_epochs=np.arange(len(table)) % 7)).notes() == ()
    assert Support.from_dict(json.loads(json.dumps(support.to_dict()))) == support


def test_samples_seen_are_images_times_epochs():
    law = replace(LAW, support=SUPPORT)
    free = plan(law, 1e18, COST)
    assert free.epochs == pytest.approx(free.samples_seen / 1.44e6)
    asked = plan(law, 1e18, COST, epochs=90)
    assert (asked.n_params, asked.samples_seen) == (free.n_params, free.samples_seen)
    assert asked.n_samples == pytest.approx(free.samples_seen / 90)
    assert plan(law, 1e18, COST, n_samples=1e6).epochs == pytest.approx(free.samples_seen / 1e6)
    with pytest.raises(UsageError, match="not both"):
        plan(law, 1e18, COST, n_samples=1e6, epochs=90)
    # A law in images is planned for so many passes, and costs what these cost.
    images = replace(law, data="n_samples", support=None)
    with pytest.raises(UsageError, match="`epochs`"):
        plan(images, 1e18, COST)
    made = plan(images, 1e18, COST, epochs=90)
    assert made.samples_seen == pytest.approx(90 * made.n_samples)
    assert COST.flop(made.n_params, made.samples_seen) == pytest.approx(1e18)
    scanned = np.geomspace(1e3, 1e12, 200_001)
    best = scanned[np.argmin(LAW.misalignment(scanned, COST.samples(1e18, scanned) / 90))]
    assert made.n_params == pytest.approx(best, rel=1e-3)


def test_the_next_tenfold_keeps_the_bounds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        budget = 10 ** rng.uniform(14, 20)
        free = plan(LAW, budget, COST)
        n_high, d_high = free.n_params * 10 ** rng.uniform(-0.5, 1.5), free.samples_seen * 10 ** rng.uniform(0.6, 1.5)
        made = plan(LAW, budget, COST, n_bounds=(None, n_high), d_bounds=(None, d_high))
        n = np.geomspace(1e2, n_high, 100_001)
        d = np.minimum(np.asarray(COST.samples(10 * budget, n)), d_high)
        best = float(LAW.misalignment(n, d).min())
        assert made.per_decade == pytest.approx(1 - made.score - best, abs=1e-6)
        assert made.per_decade >= -1e-12


def test_resamples_without_an_optimum_are_counted_for_targets_too():
    draws = {name: np.full(4, getattr(LAW, name)) for name in ("E", "A", "beta", "B")}
    draws["alpha"] = np.array([0.58, 0.6, -0.1, -0.2])
    told = budget_for(replace(LAW, draws=draws), 0.4, COST)
    assert told.share_without_optimum == 0.5
    assert "50% of the resamples have no optimum" in told.words
    assert plan(replace(LAW, draws=draws), 1e18, COST).words()[0].startswith("50% of the resamples")


def test_the_scatter_of_costs_is_in_the_intervals():
    table = models()
    table["train_flop"] *= 10 ** np.random.default_rng(1).normal(0, 0.3, len(table))
    cost = fit_cost(table)
    assert cost.scatter == pytest.approx(0.3, rel=0.25)
    fit = fit_law(table, law="joint", x=["n_params", "samples_seen"])
    law = JointLaw.from_fit(fit, bootstrap(fit, 60))
    wide, narrow = plan(law, 1e17, cost), plan(law, 1e17, replace(cost, scatter=0.0))
    assert np.ptp(np.log(wide.d_interval)) > np.ptp(np.log(narrow.d_interval))
    # The same question has the same answer.
    assert plan(law, 1e17, cost) == wide


def test_a_law_of_accuracy_is_not_called_a_score():
    made = plan(replace(LAW, outcome="top1_error"), 1e18, COST)
    assert made.label == "1 - top1_error"
    assert "predicted 1 - top1_error" in made.table()["quantity"].tolist()
    assert "A 1 - top1_error of 0.4 needs" in budget_for(replace(LAW, outcome="top1_error"), 0.4, COST).words


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"status": "not_converged", "plateau": "identified"}, "its status is not_converged"),
        ({"status": "unidentified", "plateau": "identified"}, "its status is unidentified"),
        ({"status": "converged", "plateau": "not assessed"}, "was not assessed"),
    ],
)
def test_a_law_in_doubt_is_refused_and_its_status_stands_in_the_plan(more: dict, reason: str):
    law = replace(LAW, **more)
    with pytest.raises(FitError, match=reason) as refused:
        law.refuse_doubtful("mine")
    assert refused.value.exit_code == 5
    assert plan(law, 1e18, COST).to_dict()["status"] == more["status"]
    assert plan(law, 1e18, COST).to_dict()["plateau"] == more["plateau"]
    replace(law, status="converged", plateau="not identified").refuse_doubtful("mine")
