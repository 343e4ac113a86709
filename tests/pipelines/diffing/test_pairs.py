"""Records paired by the hashes of their ids."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from melbeam.pipelines.diffing.pairs import NO_PARTNER, pair

IDS = st.lists(st.integers(0, 6), max_size=30)


@given(IDS, IDS)
def test_the_first_of_an_id_belongs_to_the_first(a, b):
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
