//! The sampler: reads counters and turns two readings into a [`super::snapshot::Snapshot`].
