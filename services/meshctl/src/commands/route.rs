//! `meshctl route`: which version answers.

use std::{io::Read as _, path::Path};

use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use torchmesh_api::admin::v1::{GetRoutesRequest, GetRoutesResponse, ListPastRoutesRequest, PastRoutes, SetRoutesRequest};

use super::operator::Operator;
use crate::{
    cli::{RouteArgs, RouteCommand},
    error::{FAILED, Failure, Result},
    home::Home,
    output::{Colour, Screen, ago, table},
};

/// Does what the arguments say.
pub(crate) async fn route(args: &RouteArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut operator = Operator::connect(&args.router, home).await?;
    match &args.what {
        RouteCommand::Get => {
            let now = get(&mut operator).await?;
            screen.show(&Routes { version: now.version, routes: &now.routes }, || shown(&now.routes))
        }
        RouteCommand::Set { file, if_version } => {
            let routes = read(file)?;
            let now = get(&mut operator).await?;
            let version = set(&mut operator, routes.clone(), if_version.unwrap_or(now.version), false).await?;
            screen.show(&Routes { version, routes: &routes }, || changes(&now.routes, &routes, screen))
        }
        RouteCommand::Diff { file } => {
            let routes = read(file)?;
            let now = get(&mut operator).await?;
            set(&mut operator, routes.clone(), now.version, true).await?;
            screen.show(&Diff { before: &now.routes, after: &routes }, || changes(&now.routes, &routes, screen))
        }
        RouteCommand::History { show } => {
            let past = past(&mut operator).await?;
            match show {
                None => list(&past, screen),
                Some(place) => {
                    let asked = past.get(*place as usize - 1);
                    let asked = asked.ok_or_else(|| Failure::new(FAILED, format!("there are {} in the list", past.len())))?;
                    screen.show(&Was::of(asked), || shown(&asked.routes))
                }
            }
        }
        RouteCommand::Undo => {
            let now = get(&mut operator).await?;
            let past = past(&mut operator).await?;
            let before = before(&past, &now.routes).ok_or_else(|| Failure::new(FAILED, "there are no routes to go back to"))?;
            let version = set(&mut operator, before.clone(), now.version, false).await?;
            screen.show(&Routes { version, routes: &before }, || changes(&now.routes, &before, screen))
        }
    }
}

#[derive(Serialize)]
struct Routes<'a> {
    version: u64,
    routes: &'a str,
}

#[derive(Serialize)]
struct Diff<'a> {
    before: &'a str,
    after: &'a str,
}

#[derive(Serialize)]
struct Was<'a> {
    at_ms: u64,
    routes: &'a str,
}

impl<'a> Was<'a> {
    fn of(past: &'a PastRoutes) -> Self {
        Self { at_ms: past.at_ms, routes: &past.routes }
    }
}

async fn get(operator: &mut Operator) -> Result<GetRoutesResponse> {
    let request = operator.request(GetRoutesRequest {});
    Ok(operator.admin.get_routes(request).await?.into_inner())
}

async fn set(operator: &mut Operator, routes: String, version: u64, dry_run: bool) -> Result<u64> {
    let request = operator.request(SetRoutesRequest { routes, version, dry_run });
    Ok(operator.admin.set_routes(request).await?.into_inner().version)
}

async fn past(operator: &mut Operator) -> Result<Vec<PastRoutes>> {
    let request = operator.request(ListPastRoutesRequest {});
    Ok(operator.admin.list_past_routes(request).await?.into_inner().past)
}

/// The routes before those that are in use. Before the first change that is kept there were none.
fn before(past: &[PastRoutes], now: &str) -> Option<String> {
    let other = past.iter().find(|past| past.routes != now).map(|past| past.routes.clone());
    other.or_else(|| (!past.is_empty()).then(String::new)).filter(|before| before != now)
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|found| text = found)
    };
    read.map_err(|error| Failure::file("read", file, &error)).map(|()| text)
}

fn shown(routes: &str) -> String {
    match routes.trim_end() {
        "" => "# there are no routes: the newest version of each model answers".to_owned(),
        routes => routes.to_owned(),
    }
}

fn list(past: &[PastRoutes], screen: &Screen) -> Result<()> {
    screen.show(&past.iter().map(Was::of).collect::<Vec<_>>(), || {
        if past.is_empty() {
            return "the routes have never been changed by `route set`".to_owned();
        }
        let newer = std::iter::once(None).chain(past.iter().map(Some));
        let rows = past.iter().zip(newer).enumerate().map(|(at, (was, newer))| {
            let kept = |tag| newer.map_or(0, |newer| lines(&was.routes, &newer.routes, tag));
            let difference =
                if newer.is_none() { "in use".to_owned() } else { format!("+{} -{}", kept(ChangeTag::Delete), kept(ChangeTag::Insert)) };
            [(at + 1).to_string(), ago(was.at_ms), was.routes.matches("[[route]]").count().to_string(), difference]
        });
        table(["", "since", "routes", "against the next"], rows)
    })
}

fn lines(before: &str, after: &str, tag: ChangeTag) -> usize {
    TextDiff::from_lines(before, after).iter_all_changes().filter(|change| change.tag() == tag).count()
}

/// The difference with three lines around each change, as `diff -u` shows it.
fn changes(before: &str, after: &str, screen: &Screen) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        text.push(screen.paint(Colour::Dim, &hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let line = change.to_string_lossy();
            let line = line.trim_end_matches('\n');
            text.push(match change.tag() {
                ChangeTag::Delete => screen.paint(Colour::Red, &format!("-{line}")),
                ChangeTag::Insert => screen.paint(Colour::Green, &format!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            });
        }
    }
    if text.is_empty() { "nothing changes".to_owned() } else { text.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Output;

    #[test]
    fn what_was_before_the_first_change_is_no_routes() {
        let past = |routes: &str| PastRoutes { at_ms: 1, routes: routes.to_owned() };
        assert_eq!(before(&[past("b"), past("a")], "b"), Some("a".to_owned()));
        assert_eq!(before(&[past("a")], "a"), Some(String::new()));
        assert_eq!(before(&[past("a")], "by hand"), Some("a".to_owned()));
        assert_eq!((before(&[], ""), before(&[past("")], "")), (None, None));
    }

    #[test]
    fn a_difference_is_shown_as_diff_shows_it() {
        let screen = Screen::new(Output::Table);
        assert_eq!(changes("a\nb\n", "a\nc\n", &screen), "@@ -1,2 +1,2 @@\n a\n-b\n+c");
        assert_eq!(changes("a\n", "a\n", &screen), "nothing changes");
    }
}
