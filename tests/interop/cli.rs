//! The component under the wasmtime CLI, as its authors publish it.
