//! The engine that runs plugins: sandboxes set up beforehand where there are addresses for them.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits;

/// The guard behind a guest's memory where addresses are scarce: the smallest with which checks of neighboring
/// addresses can be merged into one.
const NARROW_GUARD_BYTES: u64 = 64 * 1024;

/// An engine whose sandboxes are set up beforehand, or one by one where addresses are scarce.
///
/// Copy-on-write of a component's initial memory is on in both: it is wasmtime's default.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&pooled()).or_else(|error| {
        tracing::warn!(
            error = format!("{error:#}"),
            "the pool of sandboxes can't be reserved, so each sandbox is set up on its own, which takes longer"
        );
        unpooled()
    })
}

/// An engine that sets sandboxes up one by one, wherever it runs.
pub(super) fn unpooled() -> wasmtime::Result<Engine> {
    Engine::new(&narrow())
}

/// 256 sandboxes, each with 4 GiB of addresses for 64 MiB of memory: so a guest's addresses need no checks.
///
/// Calls of all instances, plugins and hosts use them in turn. A memory or a table is put back to what its component begins
/// with before another call has it, whoever had it last. Stacks are not written over: compiled code reads no place on a stack
/// that it has not written before (`Config::async_stack_zeroing` would guard against a defect in that).
fn pooled() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let mut pool = PoolingAllocationConfig::new();
    // The pool has for every call at once all that one may have, so no call can take another's part of it.
    pool.total_component_instances(limits::CALLS_AT_ONCE)
        .total_core_instances(limits::CALLS_AT_ONCE * limits::CORE_INSTANCES)
        .total_memories(limits::CALLS_AT_ONCE * limits::MEMORIES)
        .total_tables(limits::CALLS_AT_ONCE * limits::TABLES)
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(limits::MEMORIES)
        .max_tables_per_component(limits::TABLES)
        .total_stacks(limits::CALLS_AT_ONCE)
        .max_memory_size(limits::MEMORY_BYTES)
        .table_elements(limits::TABLE_ELEMENTS)
        // The pages that a call has written to stay, and are reset byte by byte: handing them to the system and
        // faulting them in again took a quarter of a purchase's time in the sandbox (docs/performance.md).
        .linear_memory_keep_resident(limits::WARM_MEMORY_BYTES)
        .table_keep_resident(limits::WARM_MEMORY_BYTES)
        .max_unused_warm_slots(limits::WARM_SLOTS)
        // Without this scan (before Linux 6.7) all of the resident memory is written for each call, used or not.
        .pagemap_scan(Enabled::Auto);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Sandboxes that take no more addresses than a call may have memory. They need other machine code, which is compiled
/// and kept apart.
fn narrow() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    config
        .memory_reservation(limits::MEMORY_BYTES as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(NARROW_GUARD_BYTES);
    config
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use wasmtime::component::Component;

    use super::*;

    #[test]
    fn the_pool_of_sandboxes_is_set_up_where_there_are_addresses() {
        let engine = engine().unwrap();
        assert!(engine.pooling_allocator_metrics().is_some());
        assert!(
            Engine::new(&narrow())
                .unwrap()
                .pooling_allocator_metrics()
                .is_none()
        );
    }

    #[test]
    fn what_is_compiled_for_one_kind_of_sandbox_is_not_taken_for_the_other() {
        let engines = [pooled(), narrow()].map(|config| Engine::new(&config).unwrap());
        let names: HashSet<u64> = engines
            .iter()
            .map(|engine| {
                let mut name = DefaultHasher::new();
                engine.precompile_compatibility_hash().hash(&mut name);
                name.finish()
            })
            .collect();
        assert_eq!(names.len(), 2);
        let compiled = Component::new(&engines[0], wat::parse_str("(component)").unwrap())
            .unwrap()
            .serialize()
            .unwrap();
        #[expect(unsafe_code, reason = "it was compiled three lines before")]
        // SAFETY: see the reason above.
        let taken = engines
            .each_ref()
            .map(|engine| unsafe { Component::deserialize(engine, &compiled) }.is_ok());
        assert_eq!(taken, [true, false]);
    }
}
