"""The order of a stream: against one that is written down plainly, and shared by processes."""

import itertools

import pytest
import torch

from zoo_core.data.lanes import LANES, WINDOW, Lanes
from zoo_core.data.row_groups import RowGroups
from zoo_core.data.samples import seeded


def groups(*sizes):
    return RowGroups(sizes, lambda group: pytest.fail("an order reads nothing"))


def lanes(sizes, batch, *, seed=1, epoch=1, start=0, rank=0, world=1):
    made = Lanes(groups(*sizes), batch, seed=seed, rank=rank, world=world)
    made.epoch, made.start = epoch, start
    return made


def generator(*numbers):
    return torch.Generator().manual_seed(seeded(*numbers).seed)


def plain(sizes, batch, *, seed=1, epoch=1):
    """All rows of an epoch in one list, cut into lanes, mixed, and dealt out to batches."""
    firsts = [sum(sizes[:n]) for n in range(len(sizes))]
    shuffled = torch.randperm(len(sizes), generator=generator(seed, epoch)).tolist()
    rows = [firsts[g] + i for g in shuffled for i in range(sizes[g])]
    total = len(rows)
    counts = [min(batch, total - start) for start in range(0, total, batch)]
    if counts[-1] == 1 and len(counts) > 1 and batch > 2:
        counts[-2:] = [batch - 1, 2]
    shares = [[c // LANES + (lane < c % LANES) for lane in range(LANES)] for c in counts]
    made = []
    for lane in range(LANES):
        length = sum(share[lane] for share in shares)
        own, rows = rows[:length], rows[length:]
        mixed = []
        for window in range(0, length, WINDOW):
            part = own[window : window + WINDOW]
            draw = generator(seed, epoch, lane, window // WINDOW)
            mixed += [part[i] for i in torch.randperm(len(part), generator=draw).tolist()]
        made.append(iter(mixed))
    return [
        [row for lane in range(LANES) for row in itertools.islice(made[lane], share[lane])]
        for share in shares
    ]


SETS = [
    ([100] * 60, 64),
    ([7, 1, 300, 0, 45, 12], 32),
    ([1000, 3000, 20], 48),
    ([5] * 13, 16),  # a last batch of one
    ([9] * 4, 5),  # fewer in a batch than lanes
    ([3], 64),
]


@pytest.mark.parametrize("sizes, batch", SETS)
@pytest.mark.parametrize("epoch", [1, 2])
def test_it_is_the_plain_order(sizes, batch, epoch):
    parts = [part.indices.tolist() for part in lanes(sizes, batch, epoch=epoch).parts()]
    assert parts == plain(sizes, batch, epoch=epoch)
    assert sorted(itertools.chain(*parts)) == list(range(sum(sizes)))


@pytest.mark.parametrize("sizes, batch", SETS)
@pytest.mark.parametrize("start", [1, 3])
def test_it_goes_on_where_it_was(sizes, batch, start):
    whole = [part.indices.tolist() for part in lanes(sizes, batch).parts()]
    rest = lanes(sizes, batch, start=min(start, len(whole)))
    assert [part.indices.tolist() for part in rest.parts()] == whole[start:]
    assert len(rest.pieces()) == len(whole[start:])


@pytest.mark.parametrize("sizes, batch", SETS)
@pytest.mark.parametrize("world", [2, 3, 8, 11])
def test_processes_share_each_batch_and_nothing_is_there_twice(sizes, batch, world):
    alone = [sorted(part.indices.tolist()) for part in lanes(sizes, batch).parts()]
    shared = [list(lanes(sizes, batch, rank=rank, world=world).parts()) for rank in range(world)]
    together = []
    for number in range(len(alone)):
        parts = [each[number] for each in shared]
        weights = [part.share * (1 / world) for part in parts]
        assert sum(weights) == pytest.approx(1)
        counted = [part.indices.tolist() for part in parts if part.share]
        together.append(sorted(itertools.chain(*counted)))
    assert sorted(itertools.chain(*together)) == list(range(sum(sizes)))
    if world <= LANES:
        assert together == alone


@pytest.mark.parametrize("world", [1, 2, 4])
def test_a_process_reads_groups_of_its_own(world):
    sizes = [20] * 200
    ends = torch.tensor(sizes).cumsum(0)
    read = []
    for rank in range(world):
        own = torch.cat([p.indices for p in lanes(sizes, 64, rank=rank, world=world).parts()])
        read += torch.searchsorted(ends, own, right=True).unique().tolist()
    assert len(set(read)) == 200 and len(read) <= 200 + LANES  # but for those at the ends of lanes


def test_pieces_are_those_of_the_parts_in_turn():
    order = lanes([50] * 20, 30, rank=1, world=2)
    pieces = iter(list(order))
    for part, count in zip(order.parts(), order.pieces(), strict=True):
        keys = [key for _ in range(count) for key in next(pieces)]
        assert keys == [(1, index) for index in part.indices.tolist()]
    assert next(pieces, None) is None


def test_neighbours_are_taken_apart_and_epochs_differ():
    sizes = [100] * 100  # each of one class, as in a set that is sorted
    classes = [
        torch.cat([part.indices for part in itertools.islice(lanes(sizes, 64).parts(), 4)]) // 100
    ]
    assert len(classes[0].unique()) >= 16
    first, second = (next(lanes([20] * 30, 64, epoch=e).parts()).indices for e in (1, 2))
    assert not torch.equal(first, second)


# --- groups in memory ----------------------------------------------------------------------------


def test_groups_are_kept_while_rows_near_them_are_read():
    import pyarrow

    read = []

    def table(group):
        read.append(group)
        return pyarrow.table({"n": [group * 10 + i for i in range(10)]})

    rows = RowGroups([10] * 6, table)
    rows.most = 20
    assert [rows.row(i)["n"] for i in (0, 11, 9, 19)] == [0, 11, 9, 19] and read == [0, 1]
    assert rows.row(25) == {"n": 25} and len(rows.kept) == 2
    rows.row(0)  # was used longest ago
    assert read == [0, 1, 2, 0]
