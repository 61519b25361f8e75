//! Parts of the host that the crates beside this one need, to measure it. An embedder needs none of them, and they may
//! change in any version.

use bss_model::Instance;
use bss_sandbox::{CallContext, CallListener};

use crate::host::Host;
use crate::ready_instances::PrepareError;

pub use crate::contract::contract_instance;
pub use crate::services_definition::recorded as recorded_reading;

/// A call of a ready instance: with its certificate, to its authorities.
///
/// # Errors
/// When the call can't be made.
pub async fn ready_call(
    host: &Host,
    instance: &Instance,
    listener: CallListener,
) -> Result<CallContext, PrepareError> {
    host.ready_call(instance, listener).await
}

/// Drops everything that was opened or obtained with an instance's settings.
pub fn forget_instance(host: &Host, instance_id: &str) {
    host.forget_instance(instance_id);
}
