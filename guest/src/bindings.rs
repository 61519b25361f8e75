//! The bindings that wit-bindgen makes of the contract in `wit/`, once for all plugins, with waki's types for wasi:http so that
//! there is one set of them.
#![expect(missing_docs, reason = "generated; the contract's files have the words")]

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package bss:plugin;

        world component {
            include bss:service-manager/lifecycle-plugin@0.1.0;
            include bss:service-manager/checking-plugin@0.1.0;
        }
    ",
    world: "bss:plugin/component",
    with: {
        "wasi:http/outgoing-handler@0.2.2": waki::bindings::wasi::http::outgoing_handler,
        "wasi:http/types@0.2.2": waki::bindings::wasi::http::types,
        "wasi:io/poll@0.2.2": waki::bindings::wasi::io::poll,
        "wasi:io/error@0.2.2": waki::bindings::wasi::io::error,
        "wasi:io/streams@0.2.2": waki::bindings::wasi::io::streams,
        "wasi:clocks/monotonic-clock@0.2.2": waki::bindings::wasi::clocks::monotonic_clock,
    },
    generate_all,
    // Values that only go to the host are lent, not copied: the products of a large catalog above all.
    ownership: Borrowing { duplicate_if_necessary: false },
    additional_derives: [PartialEq, Eq],
    pub_export_macro: true,
    default_bindings_module: "bss_plugin::bindings",
    export_macro_name: "export_component",
});
