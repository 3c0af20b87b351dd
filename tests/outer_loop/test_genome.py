"""The genome is derived from the tree, bounded, named, and gives the same tree back."""

from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field

from metaplastic.core import (
    Array,
    Choice,
    Component,
    Connection,
    Gene,
    Layout,
    Number,
    Numbers,
    Value,
    Values,
    padded_size,
)
from metaplastic.fields import Evolves, Option, Options
from metaplastic.outer_loop.genome import Genome, decode

LAYOUT = Layout((Connection("hidden", 5, 3, cell_types=2), Connection("output", 2, 5, cell_types=1)))
ALL = ("brain", "connection", "type_pair", "post", "pre", "synapse")


class Net(Component):
    kind: Literal["net"] = "net"
    units: Annotated[Number, Evolves(1, 4096, integer=True, size=True)] = 8
    activation: Annotated[Option, Options("relu", "tanh")] = "relu"


class Rule(Component):
    kind: Literal["rule"] = "rule"
    eta: Annotated[Number, Evolves(above=True, low=0.0, per=ALL)] = 0.1
    terms: tuple[Annotated[Number, Evolves()], ...] = ()
    named: dict[str, Annotated[Number, Evolves(per=ALL)]] = Field(default_factory=dict)


class Tree(Value):
    title: str = "a tree"
    net: Any = Net()
    rule: Rule = Rule()


def genome(tree: Tree) -> Genome:
    return Genome(tree, lambda _: LAYOUT)


def test_genes_are_named_after_their_place_and_come_in_field_order():
    tree = Tree(
        net=Net(units=Gene(4, 9), activation=Choice("relu", "tanh")),
        rule=Rule(eta=Gene(0.001, 1, log=True), terms=(1.0, Gene(-1, 1)), named={"A": Gene(0, 2, per="connection")}),
    )
    assert genome(tree).names() == [
        "net.units",
        "net.activation",
        "rule.eta",
        "rule.terms[1]",
        "rule.named.A[0]",
        "rule.named.A[1]",
    ]


@pytest.mark.parametrize(
    ("per", "length"), [("connection", 2), ("type_pair", 5), ("post", 7), ("pre", 8), ("synapse", 25)]
)
def test_a_gene_may_stand_for_a_whole_tensor(per, length):
    assert genome(Tree(rule=Rule(eta=Gene(0.1, 1, per=per)))).length == length


def test_expression_gives_the_tree_back_with_one_value_an_individual():
    tree = Tree(rule=Rule(eta=Gene(0.001, 1.0, log=True), terms=(Gene(-1, 3), 7.0)))
    u = torch.tensor([[0.0, 0.25], [1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    (group,) = genome(tree).express(u)
    assert torch.allclose(group.tree.rule.eta.data, torch.tensor([0.001, 1.0, 10**-1.5], dtype=torch.float64))
    assert group.tree.rule.terms[0].data.tolist() == [0.0, 1.0, 3.0]
    assert group.tree.rule.terms[1] == 7.0
    assert group.tree.title == "a tree"


def test_individuals_of_different_structure_are_grouped_in_index_order():
    tree = Tree(net=Choice(Net(units=Gene(4, 40, start=9)), Net(units=10)))
    sizes = torch.tensor([0.05, 0.95, 0.06, 0.95, 0.5], dtype=torch.float64)
    u = torch.stack([torch.tensor([0.1, 0.2, 0.3, 0.9, 0.1], dtype=torch.float64), sizes], dim=1)
    groups = genome(tree).express(u)
    assert [g.members.tolist() for g in groups] == [[0, 2], [1], [3], [4]]
    assert [padded_size(int(g.tree.net.units.data[0])) for g in groups if isinstance(g.tree.net.units, Values)] == [
        8,
        48,
        24,
    ]
    assert groups[2].tree.net.units == 10


def test_the_group_of_an_individual_depends_on_itself_alone():
    tree = Tree(net=Net(units=Gene(4, 40)))
    u = torch.linspace(0, 1, 7, dtype=torch.float64)[:, None]
    together = {
        int(i): g.tree.net.units.data[k].item() for g in genome(tree).express(u) for k, i in enumerate(g.members)
    }
    alone = {i: genome(tree).express(u[i : i + 1])[0].tree.net.units.data[0].item() for i in range(7)}
    assert together == alone


def test_every_whole_number_has_an_equal_share():
    values = decode(Gene(3, 6, integer=True), torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None])
    counts = torch.bincount(values.long().flatten())[3:]
    assert counts.shape == (4,)
    assert (counts - 1000).abs().max() <= 1


def test_the_start_decodes_to_the_start():
    tree = Tree(
        net=Net(units=Gene(4, 40, start=17, log=True)),
        rule=Rule(eta=Gene(0.01, 1, log=True, start=0.3), terms=(Gene(-2, 2, start=-1.5),)),
    )
    values = genome(tree).values(genome(tree).start()[None])
    assert values["net.units"].item() == 17
    assert values["rule.eta"].item() == pytest.approx(0.3, rel=1e-12)
    assert values["rule.terms[0]"].item() == -1.5


def test_a_champion_is_a_plain_tree_with_its_tensors_beside_it():
    rule = Rule(eta=Gene(0.1, 1, per="synapse"), named={"A": Gene(0, 2, per="post")})
    tree = Tree(net=Choice(Net(units=Gene(4, 40)), Net(units=10)), rule=rule)
    g = genome(tree)
    u = torch.linspace(0, 0.49, g.length, dtype=torch.float64)
    plain, arrays = g.individual(u)
    assert genome(plain).length == 0
    assert plain.net == Net(units=int(g.values(u[None])["net[0].units"].item()))
    assert plain.rule.eta == Array(file="champion.safetensors", name="rule.eta", per="synapse")
    assert plain.rule.named["A"] == Numbers(values=tuple(g.values(u[None])["rule.named.A"][0].tolist()), per="post")
    assert torch.equal(arrays["rule.eta"], g.values(u[None])["rule.eta"][0])


def test_genomes_of_the_wrong_shape_or_outside_the_cube_are_refused():
    g = genome(Tree(rule=Rule(eta=Gene(0.1, 1))))
    with pytest.raises(ValueError, match=r"shape \(2, 3\), wanted \[P, 1\]"):
        g.express(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="leave the unit cube"):
        g.express(torch.full((2, 1), 1.5, dtype=torch.float64))
    with pytest.raises(ValueError, match="leave the unit cube"):
        g.express(torch.full((2, 1), float("nan"), dtype=torch.float64))
