//! The contract as Rust types, generated from `wit/`.

#[expect(missing_docs, reason = "generated; the documentation is in wit/*.wit")]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "
            package bss:host-harness;

            /// The interfaces that the host offers to every plugin, and the one that every plugin exports. wasi:http
            /// and wasi:config are in the contract's own world too; their bindings come with the crates that
            /// implement them.
            world core {
                import bss:service-manager/certificate-store@0.1.0;
                import bss:service-manager/access-token-cache@0.1.0;
                import bss:service-manager/services-sink@0.1.0;
                import bss:service-manager/progress@0.1.0;

                export bss:service-manager/service-manager@0.1.0;
            }
        ",
        world: "bss:host-harness/core",
        // Only what waits is `async`: each such call costs a future of its own.
        imports: {
            "bss:service-manager/access-token-cache@0.1.0": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        // Recordings of calls write and read these types.
        additional_derives: [serde::Deserialize, serde::Serialize],
    });
}

/// The check of the connection, which a plugin may lack, with the types of the contract's core.
#[expect(missing_docs, reason = "generated; the documentation is in wit/*.wit")]
mod checking {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "
            package bss:host-harness;

            world checking {
                export bss:service-manager/connection@0.1.0;
            }
        ",
        world: "bss:host-harness/checking",
        with: {
            "bss:service-manager/failures@0.1.0": super::generated::bss::service_manager::failures,
            "bss:service-manager/instance-settings@0.1.0":
                super::generated::bss::service_manager::instance_settings,
        },
        exports: { default: async },
        // Recordings of calls write and read these types.
        additional_derives: [serde::Deserialize, serde::Serialize],
    });
}

/// The life cycle of licenses, which a plugin may lack, with the types of the contract's core.
#[expect(missing_docs, reason = "generated; the documentation is in wit/*.wit")]
mod lifecycle {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "
            package bss:host-harness;

            world lifecycle {
                export bss:service-manager/license-lifecycle@0.1.0;
            }
        ",
        world: "bss:host-harness/lifecycle",
        with: {
            "bss:service-manager/failures@0.1.0": super::generated::bss::service_manager::failures,
            "bss:service-manager/instance-settings@0.1.0":
                super::generated::bss::service_manager::instance_settings,
            "bss:service-manager/license-order@0.1.0":
                super::generated::bss::service_manager::license_order,
        },
        exports: { default: async },
        // Recordings of calls write and read these types.
        additional_derives: [serde::Deserialize, serde::Serialize],
    });
}

pub use checking::exports::bss::service_manager::connection;
pub use checking::{Checking, CheckingPre};
pub use generated::CorePre;
pub use generated::bss::service_manager::{
    access_token_cache, certificate_store, failures, instance_settings, license_order, progress,
    services_definition, services_sink,
};
pub use generated::exports::bss::service_manager::service_manager::{Description, HarmlessFields};
pub use lifecycle::exports::bss::service_manager::license_lifecycle;
pub use lifecycle::{Lifecycle, LifecyclePre};
