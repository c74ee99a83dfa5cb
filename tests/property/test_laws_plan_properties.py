from hypothesis import given, settings
from hypothesis import strategies as st

from vvscale.laws.planning.cost import Cost
from vvscale.laws.planning.joint import JointLaw
from vvscale.laws.planning.plan import plan
from vvscale.laws.planning.target import budget_for

exponents = st.floats(0.02, 2.0)
laws = st.builds(
    JointLaw, E=st.floats(0.0, 0.9), A=st.floats(1e-2, 1e4), alpha=exponents, B=st.floats(1e-2, 1e4), beta=exponents
)
costs = st.builds(Cost, m=st.floats(0.1, 1e4), p=st.floats(0.3, 2.0), q=st.floats(0.3, 2.0), source=st.just("any"))


@settings(max_examples=300, deadline=None)
@given(laws, costs, st.floats(1e8, 1e28), st.floats(-3.0, 3.0))
def test_no_allocation_of_the_same_budget_beats_the_plan(law, cost, budget, decades):
    made = plan(law, budget, cost)
    n = made.n_params * 10**decades
    neighbour = 1.0 - float(law.misalignment(n, cost.samples(budget, n)))
    assert neighbour <= made.score + 1e-9 * (1 + abs(made.score))
    assert abs(float(cost.flop(made.n_params, made.samples_seen)) / budget - 1) < 1e-9


@settings(max_examples=100, deadline=None)
@given(laws, costs, st.floats(1e8, 1e28))
def test_more_budget_never_hurts_and_never_passes_the_plateau(law, cost, budget):
    first, second = plan(law, budget, cost), plan(law, 10 * budget, cost)
    assert first.score <= second.score <= first.limit


@settings(max_examples=100, deadline=None)
@given(laws, costs, st.floats(1e-3, 1e3), st.floats(1e10, 1e26))
def test_a_bound_never_helps(law, cost, factor, budget):
    free = plan(law, budget, cost)
    held = plan(law, budget, cost, n_bounds=(free.n_params * factor, free.n_params * factor))
    assert held.score <= free.score + 1e-12


@settings(max_examples=100, deadline=None)
@given(laws, costs, st.floats(1e10, 1e24))
def test_the_budget_for_a_score_is_the_budget_that_made_it(law, cost, budget):
    made = plan(law, budget, cost)
    # Far out on the plateau or below it one score belongs to many budgets.
    if 0.01 < made.score < 0.99 and made.limit - made.score > 1e-4 and made.per_decade > 1e-4:
        answer = budget_for(law, made.score, cost)
        assert answer.budget is not None
        assert abs(plan(law, answer.budget, cost).score - made.score) < 1e-9
