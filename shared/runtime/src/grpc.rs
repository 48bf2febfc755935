//! What every gRPC service of ours answers beside its own calls: health and reflection.

use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};

use crate::process::Context;

/// What callers may know of, wherever in the mesh they ask.
const FOR_CALLERS: [&str; 5] = [
    "grpc.health.v1.Health",
    "inference.GRPCInferenceService",
    "torchmesh.audio.v1.AudioService",
    "torchmesh.text.v1.TextService",
    "torchmesh.vision.v1.VisionService",
];

/// `grpc.health.v1` (following the process's readiness) and reflection, v1 and v1alpha, which lists what callers may know of and `own`: services that this process has
/// beside. Must be called on a runtime.
pub fn standard_routes(context: &Context, own: &[&str]) -> Routes {
    let (reporter, health) = health_reporter();
    context.control.spawn(follow_readiness(context.clone(), reporter));
    let routes = Routes::default().add_service(health);
    let files = || {
        let files = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(torchmesh_api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        FOR_CALLERS.iter().chain(own).fold(files, |files, service| files.with_service_name(*service))
    };
    // Our own descriptors are checked when they are compiled; should that fail, the service is worth more than its reflection.
    let routes = match files().build_v1() {
        Ok(v1) => routes.add_service(v1),
        Err(error) => {
            tracing::error!(%error, "reflection v1 is off");
            routes
        }
    };
    match files().build_v1alpha() {
        Ok(v1alpha) => routes.add_service(v1alpha),
        Err(error) => {
            tracing::error!(%error, "reflection v1alpha is off");
            routes
        }
    }
}

async fn follow_readiness(context: Context, reporter: HealthReporter) {
    let mut changes = context.readiness.subscribe();
    loop {
        let serving = *changes.borrow_and_update() && !context.drain.is_draining();
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        // The empty name stands for the whole server (gRPC health checking protocol).
        reporter.set_service_status("", status).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = context.drain.draining(), if serving => {}
        }
    }
}
