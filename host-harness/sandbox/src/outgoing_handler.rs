//! Sends a guest's requests through wasmtime's own handler, and takes their options as the request itself is taken.
//!
//! wasmtime-wasi-http 48 reads the options and leaves their handle, which the guest has given away, in the call's table: each
//! exchange would keep one of the call's handles for good, and a catalog of a thousand small pages would be the last.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Host as _};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{RequestOptions, WasiHttpView};

/// The interface, in the version under which wasmtime links it.
const INTERFACE: &str = "wasi:http/outgoing-handler@0.2.12";

/// A request, and its options.
type Given = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Answer = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Puts this handler in the place of wasmtime's, which has been linked.
pub(crate) fn replace_in_linker<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let replaced = linker
        .instance(INTERFACE)
        .and_then(|mut interface| interface.func_wrap("handle", handle));
    linker.allow_shadowing(false);
    replaced
}

fn handle<T: WasiHttpView>(mut store: StoreContextMut<'_, T>, given: Given) -> wasmtime::Result<(Answer,)> {
    let mut http = store.data_mut().http();
    let (request, options) = given;
    let taken = options.as_ref().map(|options| Resource::new_own(options.rep()));
    let answer = http.handle(request, options);
    if let Some(taken) = taken {
        http.table.delete::<RequestOptions>(taken)?;
    }
    match answer {
        Ok(answer) => Ok((Ok(answer),)),
        Err(error) => Ok((Err(http.convert_error_code(error)?),)),
    }
}
