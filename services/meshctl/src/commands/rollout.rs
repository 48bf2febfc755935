//! `meshctl rollout`: a new version takes over step by step.

use std::time::Duration;

use serde::Serialize;
use toml::{Table, Value};
use torchmesh_api::admin::v1::{ChangeRolloutRequest, ListRolloutsRequest, Rollout, RolloutCommand as Wanted, StartRolloutRequest};

use super::{gate, operator::Operator};
use crate::{
    cli::{RolloutArgs, RolloutCommand, StartArgs, TlsArgs},
    error::{FAILED, Failure, Result},
    home::Home,
    output::{Colour, Screen, ago, table},
};

/// How often `--watch` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does what the arguments say.
pub(crate) async fn rollout(args: &RolloutArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut operator = Operator::connect(&args.router, home).await?;
    let (model, command) = match &args.what {
        RolloutCommand::Start(start) => return begin(&mut operator, start, &args.router.tls, home, screen).await,
        RolloutCommand::Status { model: Some(model), watch: true } => return watch(&mut operator, model, screen).await,
        RolloutCommand::Status { model, .. } => return status(&mut operator, model.as_deref(), screen).await,
        RolloutCommand::Pause { model } => (model, Wanted::Pause),
        RolloutCommand::Resume { model } => (model, Wanted::Resume),
        RolloutCommand::Abort { model } => (model, Wanted::Abort),
    };
    let request = operator.request(ChangeRolloutRequest { model: model.clone(), command: command.into() });
    show(&operator.admin.change_rollout(request).await?.into_inner().rollout.unwrap_or_default(), screen)
}

async fn begin(operator: &mut Operator, start: &StartArgs, tls: &TlsArgs, home: &Home, screen: &Screen) -> Result<()> {
    if start.gate.is_some() {
        gate::pass(start, tls, home, screen).await?;
    }
    let request = operator.request(StartRolloutRequest { plan: plan(start).to_string() });
    show(&operator.admin.start_rollout(request).await?.into_inner().rollout.unwrap_or_default(), screen)
}

/// What was given, in the words of docs/rollouts.md.
fn plan(start: &StartArgs) -> Table {
    let mut plan = Table::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            plan.insert(key.to_owned(), value);
        }
    };
    let text = |given: &Option<String>| given.clone().map(Value::String);
    put("model", Some(start.model.clone().into()));
    put("to", Some(start.to.clone().into()));
    put("from", text(&start.from));
    put("steps", (!start.steps.is_empty()).then(|| start.steps.clone().into()));
    put("every", text(&start.every));
    put("patience", text(&start.patience));
    put("min_calls", start.min_calls.map(|count| i64::from(count).into()));
    put("max_error_rate", text(&start.max_error_rate));
    put("max_p99", text(&start.max_p99));
    put("max_disagreement", text(&start.max_disagreement));
    put("shadow_percent", start.shadow_percent.map(Value::Float));
    plan
}

async fn list(operator: &mut Operator) -> Result<Vec<Rollout>> {
    let request = operator.request(ListRolloutsRequest {});
    Ok(operator.admin.list_rollouts(request).await?.into_inner().rollouts)
}

async fn find(operator: &mut Operator, model: &str) -> Result<Rollout> {
    let found = list(operator).await?.into_iter().find(|rollout| rollout.model == model);
    found.ok_or_else(|| Failure::new(FAILED, format!("{model} has had no rollout")).help("`meshctl rollout status` lists those there were"))
}

async fn status(operator: &mut Operator, model: Option<&str>, screen: &Screen) -> Result<()> {
    if let Some(model) = model {
        return show(&find(operator, model).await?, screen);
    }
    let rollouts = list(operator).await?;
    screen.show(&rollouts.iter().map(Seen::of).collect::<Vec<_>>(), || {
        if rollouts.is_empty() {
            return "there were no rollouts".to_owned();
        }
        let row = |rollout: &Rollout| {
            let last = rollout.events.last();
            let [model, from, to] = [&rollout.model, &rollout.from, &rollout.to].map(Clone::clone);
            let (since, said) = last.map_or_else(Default::default, |event| (ago(event.at_ms), event.said.clone()));
            [model, from, to, stage(rollout, screen), format!("{}%", rollout.percent), since, said]
        };
        table(["model", "from", "to", "stage", "share", "since", "what happened last"], rollouts.iter().map(row))
    })
}

/// Until it ends: every event as it happens, and on a terminal what is missing meanwhile.
async fn watch(operator: &mut Operator, model: &str, screen: &Screen) -> Result<()> {
    let mut told = 0;
    loop {
        let rollout = find(operator, model).await?;
        for event in rollout.events.iter().skip(told) {
            screen.show(&serde_json::json!({ "at_ms": event.at_ms, "said": event.said }), || event.said.clone())?;
        }
        told = rollout.events.len();
        match rollout.stage.as_str() {
            "running" | "paused" => tokio::time::sleep(LOOK_EVERY).await,
            "promoted" => return Ok(()),
            _ => return Err(Failure::new(FAILED, format!("version {} of {model} did not take over", rollout.to))),
        }
    }
}

#[derive(Serialize)]
struct Seen<'a> {
    model: &'a str,
    from: &'a str,
    to: &'a str,
    stage: &'a str,
    percent: f64,
    steps: &'a [f64],
    missing: &'a str,
    events: Vec<(u64, &'a str)>,
}

impl<'a> Seen<'a> {
    fn of(rollout: &'a Rollout) -> Self {
        Self {
            model: &rollout.model,
            from: &rollout.from,
            to: &rollout.to,
            stage: &rollout.stage,
            percent: rollout.percent,
            steps: &rollout.steps,
            missing: &rollout.missing,
            events: rollout.events.iter().map(|event| (event.at_ms, event.said.as_str())).collect(),
        }
    }
}

fn stage(rollout: &Rollout, screen: &Screen) -> String {
    let colour = match rollout.stage.as_str() {
        "promoted" => Colour::Green,
        "running" | "paused" => Colour::Yellow,
        _ => Colour::Red,
    };
    screen.paint(colour, &rollout.stage.replace('_', " "))
}

fn show(rollout: &Rollout, screen: &Screen) -> Result<()> {
    screen.show(&Seen::of(rollout), || {
        let steps: Vec<_> = rollout.steps.iter().map(|step| format!("{step}%")).collect();
        let mut lines = vec![
            format!("{} {} → {}: {}", rollout.model, rollout.from, rollout.to, stage(rollout, screen)),
            format!("share     {}% of {}", rollout.percent, steps.join(", ")),
        ];
        if !rollout.missing.is_empty() {
            lines.push(format!("missing   {}", rollout.missing));
        }
        lines.push(String::new());
        lines.extend(rollout.events.iter().map(|event| format!("{:>8}  {}", ago(event.at_ms), event.said)));
        lines.join("\n")
    })
}
