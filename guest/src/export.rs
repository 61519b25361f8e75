//! The macro that makes a component of a plugin.

/// Exports a plugin as the component of the crate: a type that implements [`ServiceManager`](crate::ServiceManager) and `Default`.
/// Natively it exports nothing, because other linkers refuse the names of a component's exports.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            const fn is_plugin<T: $crate::ServiceManager + Default>() {}
            is_plugin::<$plugin>();
        };

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "generated code; what the crate itself says of unsafe code is not known here")]
        mod component {
            use super::*;

            type Exported = $plugin;
            $crate::bindings::export_component!(Exported with_types_in $crate::bindings);
        }
    };
}
