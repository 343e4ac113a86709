"""SpecAugment: blocks of valid frames and of bins are masked, by stateless seeds."""

import numpy as np
import pytest
import tensorflow as tf

from melbeam.transforms import read_features, spec_augment

BINS = 40


def elements(num_clips=50, frames=200, rows=230):
    random = np.random.default_rng(3)
    features = random.standard_normal((num_clips, rows, BINS)).astype(np.float32)
    features[:, frames:] = 0
    return tf.data.Dataset.from_tensor_slices(
        {"id": [f"{n}" for n in range(num_clips)], "num_frames": [frames] * num_clips, "input_features": features}
    )


def numbered(dataset, number):
    return dataset.map(lambda element: (element, number))


def masked_places(dataset, augmented, value):
    """Which values of each clip were masked, bool `[clips, rows, bins]`."""
    places = []
    for before, after in zip(dataset, augmented, strict=True):
        changed = before["input_features"].numpy() != after["input_features"].numpy()
        assert (after["input_features"].numpy()[changed] == value).all()
        places.append(changed)
    return np.array(places)


def runs(flags):
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def test_masks_are_blocks_within_their_bounds():
    dataset = elements()
    options = {"num_time_masks": 1, "max_time_frames": 30, "num_frequency_masks": 1, "max_frequency_bins": 10}
    places = masked_places(dataset, dataset.map(spec_augment(seed=1, value=9.0, **options)), 9.0)
    assert not places[:, 200:].any()
    valid = places[:, :200]
    frames, bins = valid.all(axis=2), valid.all(axis=1)
    np.testing.assert_array_equal(valid, frames[:, :, None] | bins[:, None, :])
    lengths, widths = frames.sum(axis=1), bins.sum(axis=1)
    assert all(len(runs(clip)) <= 1 for clip in (*frames, *bins))
    assert lengths.max() <= 30
    assert widths.max() <= 10
    # Uniform from 0 to the bound: 50 draws reach both ends, and their mean is within four standard errors.
    assert lengths.min() <= 3
    assert lengths.max() >= 27
    assert widths.min() == 0
    assert widths.max() == 10
    assert abs(lengths.mean() - 15) < 4 * 9 / np.sqrt(50)
    starts = frames.argmax(axis=1)
    assert starts.min() < 20
    assert starts.max() > 150


def test_a_block_is_no_longer_than_its_share():
    dataset = elements()
    options = {"num_frequency_masks": 0, "num_time_masks": 1, "max_time_frames": 100, "max_time_fraction": 0.05}
    places = masked_places(dataset, dataset.map(spec_augment(value=9.0, **options)), 9.0)
    assert places.all(axis=2).sum(axis=1).max() == 10
    nothing = spec_augment(num_time_masks=0, num_frequency_masks=0)
    assert not masked_places(dataset, dataset.map(nothing), 0.0).any()


def test_the_mean_stands_for_what_is_masked():
    (before,) = elements(1)
    after = spec_augment(seed=5)(before)["input_features"].numpy()
    changed = after != before["input_features"].numpy()
    assert changed.any()
    mean = before["input_features"].numpy()[:200].mean()
    # float32 sums of 8000 values around 0.
    np.testing.assert_allclose(after[changed], mean, rtol=0, atol=1e-6)


def test_seeds_decide_and_nothing_else():
    dataset = elements(8)

    def of(seed, number=None):
        given = dataset if number is None else numbered(dataset, number)
        augmented = given.map(spec_augment(seed=seed), num_parallel_calls=4)
        return np.array([element["input_features"] for element in augmented.as_numpy_iterator()])

    np.testing.assert_array_equal(of(1), of(1))
    np.testing.assert_array_equal(of(1, 7), of(1, 7))
    others = [of(1), of(2), of(1, 7), of(1, 8), of(2, 8)]
    for i, one in enumerate(others):
        assert not any(np.array_equal(one, other) for other in others[:i])


def test_batches_are_masked_as_their_clips_are():
    dataset = elements(8)
    singly = list(numbered(dataset, 3).map(spec_augment(seed=1)).batch(8).as_numpy_iterator())
    batched = list(numbered(dataset.batch(8), 3).map(spec_augment(seed=1)).as_numpy_iterator())
    for name in ("id", "num_frames"):
        np.testing.assert_array_equal(singly[0][name], batched[0][name])
    # Only the mean of the clip is summed in another order.
    np.testing.assert_allclose(singly[0]["input_features"], batched[0]["input_features"], rtol=0, atol=1e-6)


def test_other_masks_in_every_epoch(several_shards):
    dataset = read_features(several_shards, batch_size=4)
    numbers = tf.data.Dataset.random(seed=1, rerandomize_each_iteration=True)
    augmented = tf.data.Dataset.zip((dataset, numbers)).map(spec_augment(seed=1))
    epochs = [[batch["input_features"].numpy() for batch in augmented] for _ in range(2)]
    assert all(first.shape == second.shape for first, second in zip(*epochs, strict=True))
    assert not any(np.array_equal(first, second) for first, second in zip(*epochs, strict=True))


def test_counted_masks_go_on_after_a_checkpoint(several_shards, tmp_path):
    def made():
        dataset = read_features(several_shards, batch_size=4).repeat(2)
        return tf.data.Dataset.zip((dataset, tf.data.Dataset.counter())).map(spec_augment(seed=1))

    first, second, third, fourth = (batch["input_features"].numpy() for batch in made())
    assert first.shape == third.shape
    assert not np.array_equal(first, third)
    iterator = iter(made())
    next(iterator)
    path = tf.train.Checkpoint(iterator=iterator).save(f"{tmp_path}/checkpoint")
    again = iter(made())
    tf.train.Checkpoint(iterator=again).restore(path)
    for batch, expected in zip(again, (second, third, fourth), strict=True):
        np.testing.assert_array_equal(batch["input_features"], expected)


def test_smaller_dtypes_and_shapes_stay():
    dataset = elements(2).map(lambda e: {**e, "input_features": tf.cast(e["input_features"], tf.bfloat16)})
    augmented = dataset.map(spec_augment())
    assert augmented.element_spec == dataset.element_spec
    assert len(list(augmented)) == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_time_masks": -1}, "num_time_masks must be at least 0, got -1"),
        ({"max_time_fraction": 1.5}, r"max_time_fraction must be in \[0, 1\], got 1.5"),
        ({"value": float("nan")}, "value must be a finite number"),
        ({"seed": 0.5}, "seed must be a whole number"),
    ],
)
def test_what_is_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        spec_augment(**options)


def test_elements_without_what_it_needs():
    with pytest.raises(ValueError, match="elements need num_frames"):
        spec_augment()({"input_features": tf.zeros([3, 4])})
    with pytest.raises(ValueError, match="elements need an 'id'"):
        spec_augment()({"input_features": tf.zeros([3, 4]), "num_frames": tf.constant(3)})
