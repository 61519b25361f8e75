//! The bindings that wit-bindgen makes of the contract in `wit/`.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package acme:keys;

        world component {
            include bss:service-manager/lifecycle-plugin@0.1.0;
            include bss:service-manager/checking-plugin@0.1.0;
        }
    ",
    world: "acme:keys/component",
    generate_all,
});
