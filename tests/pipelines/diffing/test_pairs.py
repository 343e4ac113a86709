"""Records paired by the hashes of their ids."""

from collections import Counter

import numpy as np
import pytest

from melbeam.pipelines.diffing.pairs import NO_PARTNER, pair


@pytest.mark.parametrize("seed", range(200))
def test_the_first_of_an_id_belongs_to_the_first(seed):
    random = np.random.default_rng(seed)
    a, b = (random.integers(0, 7, random.integers(0, 30)).tolist() for _ in range(2))
    pairs = pair(np.array(a, np.uint64), np.array(b, np.uint64))
    seen = Counter()
    for number, record_id in enumerate(a):
        places = [place for place, other in enumerate(b) if other == record_id]
        expected = places[seen[record_id]] if seen[record_id] < len(places) else NO_PARTNER
        assert pairs.partners[number] == expected
        seen[record_id] += 1
    alone = sorted(set(range(len(b))) - set(pairs.partners.tolist()))
    assert pairs.only_in_b.tolist() == alone
    repeated = [sum(count > 1 for count in Counter(ids).values()) for ids in (a, b)]
    assert list(pairs.repeated) == repeated
