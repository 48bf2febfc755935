//! Instances, batching and queueing.

use torchmesh_api::inference::{
    ModelConfig, ModelDynamicBatching, ModelInstanceGroup, ModelQueuePolicy, model_config::SchedulingChoice, model_instance_group::Kind,
};

use crate::import::Description;

/// The longest `max_queue_delay`, in microseconds.
const MAX_DELAY: u64 = 1_000_000;
/// The most `instances` and `queue.max_requests`.
const MAX_INSTANCES: i64 = 64;
const MAX_REQUESTS: u32 = 100_000;

pub(super) fn carry(config: &ModelConfig, made: &mut Description) {
    instances(&config.instance_group, made);
    match &config.scheduling_choice {
        Some(SchedulingChoice::DynamicBatching(batching)) => dynamic_batching(batching, made),
        _ if made.manifest.batching.max_batch == Some(1) => {}
        _ => made.note(
            "dynamic_batching",
            "is absent in Triton, where every request runs alone; here requests share batches: batching.max_batch = 1 forbids it",
        ),
    }
}

fn instances(groups: &[ModelInstanceGroup], made: &mut Description) {
    let Some(first) = groups.first() else { return };
    if groups.len() > 1 {
        made.note("instance_group", "only the first group is carried over: a model runs on one device");
    }
    match first.kind() {
        Kind::Cpu => made.manifest.device = Some("cpu".to_owned()),
        Kind::Gpu => {
            let gpu = first.gpus.iter().find(|gpu| **gpu >= 0).copied().unwrap_or(0);
            made.manifest.device = Some(format!("cuda:{gpu}"));
            if first.gpus.len() != 1 {
                made.note(
                    "instance_group[0].gpus",
                    format!("is cut to GPU {gpu}: a model runs on one device; start a worker for each other GPU"),
                );
            }
        }
        Kind::Model => made.note("instance_group[0].kind", "KIND_MODEL has no counterpart: device is \"auto\""),
        Kind::Auto => {}
    }
    let count = i64::from(first.count.max(1));
    made.manifest.instances = (count > 1).then_some(count.min(MAX_INSTANCES));
    if count > MAX_INSTANCES {
        made.note("instance_group[0].count", format!("is cut to {MAX_INSTANCES}"));
    }
    let others = [
        ("rate_limiter", first.rate_limiter.is_some()),
        ("secondary_devices", !first.secondary_devices.is_empty()),
        ("profile", !first.profile.is_empty()),
        ("passive", first.passive),
        ("host_policy", !first.host_policy.is_empty()),
    ];
    for (field, _) in others.into_iter().filter(|(_, given)| *given) {
        made.note(format!("instance_group[0].{field}"), "is left out: it has no counterpart");
    }
}

fn dynamic_batching(batching: &ModelDynamicBatching, made: &mut Description) {
    let field = |name: &str| format!("dynamic_batching.{name}");
    if batching.max_queue_delay_microseconds > 0 {
        let delay = batching.max_queue_delay_microseconds.min(MAX_DELAY);
        made.manifest.batching.max_queue_delay = Some(format!("{delay}us"));
        if delay < batching.max_queue_delay_microseconds {
            made.note(field("max_queue_delay_microseconds"), "is cut to one second");
        }
    }
    let notes = [
        (
            "preferred_batch_size",
            !batching.preferred_batch_size.is_empty(),
            "is left out: a batch is what waits when an executor is free, up to max_batch",
        ),
        (
            "preserve_ordering",
            batching.preserve_ordering,
            "is left out: answers come as they are ready; over one stream they keep the order of its requests",
        ),
        ("priority_levels", batching.priority_levels > 0, "is left out: the queue is not set up by the model"),
        ("default_priority_level", batching.default_priority_level > 0, "is left out with priority_levels"),
        ("priority_queue_policy", !batching.priority_queue_policy.is_empty(), "is left out with priority_levels"),
    ];
    for (name, _, note) in notes.into_iter().filter(|(_, given, _)| *given) {
        made.note(field(name), note);
    }
    if let Some(policy) = &batching.default_queue_policy {
        queue_policy(policy, made);
    }
}

fn queue_policy(policy: &ModelQueuePolicy, made: &mut Description) {
    if policy.max_queue_size > 0 {
        made.manifest.queue.max_requests = Some(policy.max_queue_size.min(MAX_REQUESTS));
    }
    if policy.default_timeout_microseconds > 0 || policy.allow_timeout_override {
        let note = "its timeouts are left out: a request waits until its caller's deadline and is dropped then";
        made.note("dynamic_batching.default_queue_policy", note);
    }
}
