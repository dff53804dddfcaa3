//! The status page: one document, no script and nothing from elsewhere.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{Html, IntoResponse, Response},
};
use futures::join;
use sealane::{
    failover::{Moved, Record},
    ports::{Clock, Rows},
    region::Capability,
    time::Timestamp,
};

use crate::{
    app::App,
    caller::Reads,
    problem::Problem,
    status::{self, Copy, Owed, Regions, Stands, Stood},
    time::utc,
};

/// Nothing is loaded or run, whatever a name on the page says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Moves and owed copies that are shown.
const SHOWN_MAX: usize = 20;

const STYLE: &str = include_str!("page.css");

/// `GET /`
pub(crate) async fn show<R: Rows, C: Clock>(State(app): State<Arc<App<R, C>>>, _: Reads) -> Response {
    let control = &app.deps.control;
    let owed = status::copies_owed(&app, SHOWN_MAX);
    let (outlook, moves, owed) = join!(app.outlook(), control.moves(SHOWN_MAX), owed);
    let sheet = Sheet {
        home: app.deps.home.to_string(),
        now: app.now(),
        regions: Regions::of(&app.deps.config.regions, &outlook),
        record: outlook.record.clone(),
        moves: moves.map_err(|error| error.to_string()),
        owed: owed.map(|served| served.body).map_err(|problem: Problem| problem.detail().to_owned()),
    };
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(sheet.html())).into_response()
}

/// What the page shows. What could not be read says so in its place.
struct Sheet {
    home: String,
    now: Timestamp,
    regions: Regions,
    record: Option<Record>,
    moves: Result<Vec<Moved>, String>,
    owed: Result<Owed, String>,
}

impl Sheet {
    fn html(&self) -> String {
        let (home, now) = (escape(&self.home), utc(self.now));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"refresh\" content=\"10\">\n<title>Sealane status</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>Sealane</h1>\n\
             <p>As {home} sees it at <time>{now}</time>. Renews itself every 10 seconds.</p>\n</header>\n<main>\n\
             {}{}{}{}{}</main>\n</body>\n</html>\n",
            self.warnings(),
            self.primary(),
            self.matrix(),
            self.line(),
            self.copies(),
        )
    }

    fn warnings(&self) -> String {
        let panics = self.regions.panics.iter().map(|capability| {
            format!("most regions look down for {capability} at once: its health is ignored")
        });
        let lines: String = panics
            .chain(self.regions.problems.iter().cloned())
            .map(|text| format!("<li>{}</li>\n", escape(&text)))
            .collect();
        if lines.is_empty() {
            lines
        } else {
            format!("<ul class=\"warnings\" role=\"alert\">\n{lines}</ul>\n")
        }
    }

    fn primary(&self) -> String {
        let words = match &self.record {
            None => "<p>It is not known which region takes the writes.</p>\n".to_owned(),
            Some(record) => format!(
                "<p class=\"primary\"><strong>{}</strong> takes the writes: epoch {}, {}.</p>\n<p>Since {}: {}.</p>\n",
                record.active,
                record.epoch,
                record.phase,
                utc(record.since),
                escape(&record.reason.to_string()),
            ),
        };
        let proposal = self.record.as_ref().and_then(|r| r.proposal.as_ref()).map(|p| {
            let state = match (&p.approved_by, &p.rejected_by) {
                (Some(name), _) => format!("approved by {}", escape(name)),
                (None, Some(name)) => format!("rejected by {}", escape(name)),
                (None, None) => "waits for an operator".to_owned(),
            };
            format!("<p>Proposed: move to {} ({}); {state}.</p>\n", p.to, escape(&p.reason.to_string()))
        });
        section("Active primary", &format!("{words}{}", proposal.unwrap_or_default()))
    }

    fn matrix(&self) -> String {
        let head: String =
            Capability::ALL.iter().map(|c| format!("<th scope=\"col\">{}</th>", label(*c))).collect();
        let rows: String = self.regions.regions.iter().map(row).collect();
        section(
            "Regions",
            &format!(
                "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Region</th>{head}\
                 <th scope=\"col\">Uploads</th><th scope=\"col\">Behind</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n\
                 <details><summary>Why</summary>\n<ul>\n{}</ul>\n</details>\n",
                self.verdicts(),
            ),
        )
    }

    fn verdicts(&self) -> String {
        let stands = self.regions.regions.iter().flat_map(|region| &region.capabilities);
        stands.map(|stands| format!("<li>{}</li>\n", escape(&stands.verdict))).collect()
    }

    fn line(&self) -> String {
        let body = match &self.moves {
            Err(error) => unread(error),
            Ok(moves) if moves.is_empty() => "<p>No move has finished yet.</p>\n".to_owned(),
            Ok(moves) => {
                let items = moves.iter().map(|moved| {
                    let (when, words) = (utc(moved.ended), escape(&moved.to_string()));
                    format!("<li><time>{when}</time> {words}</li>\n")
                });
                format!("<ol class=\"line\">\n{}</ol>\n", items.collect::<String>())
            }
        };
        section("Moves, newest first", &body)
    }

    fn copies(&self) -> String {
        let body = match &self.owed {
            Err(error) => unread(error),
            Ok(owed) if owed.owed.is_empty() => {
                "<p>Every region has every copy that it should.</p>\n".to_owned()
            }
            Ok(owed) => {
                let rows: String = owed.owed.iter().map(copy).collect();
                let more = if owed.more { "<p>There are more.</p>\n" } else { "" };
                format!(
                    "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">Object</th><th scope=\"col\">From</th>\
                     <th scope=\"col\">To</th><th scope=\"col\">Size</th><th scope=\"col\">State</th>\
                     <th scope=\"col\">Tries</th><th scope=\"col\">Owed since</th></tr></thead>\n\
                     <tbody>\n{rows}</tbody>\n</table></div>\n{more}"
                )
            }
        };
        section("Copies owed", &body)
    }
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}</section>\n")
}

fn unread(error: &str) -> String {
    format!("<p class=\"unread\">This could not be read: {}.</p>\n", escape(error))
}

fn label(capability: Capability) -> &'static str {
    match capability {
        Capability::ObjectRead => "Read objects",
        Capability::ObjectWrite => "Write objects",
        Capability::TableRead => "Read tables",
        Capability::TableWrite => "Write tables",
        Capability::Api => "API",
    }
}

fn row(region: &Stood) -> String {
    let cells: String = Capability::ALL
        .iter()
        .map(|&capability| cell(region.capabilities.iter().find(|s| s.capability == capability)))
        .collect();
    let mut marks = String::new();
    if region.active {
        marks.push_str(" <small>active primary</small>");
    }
    if region.role == sealane::region::Role::Witness {
        marks.push_str(" <small>witness</small>");
    }
    let class = if region.active { " class=\"active\"" } else { "" };
    format!(
        "<tr{class}><th scope=\"row\">{}{marks}</th>{cells}<td>{}</td><td>{}</td></tr>\n",
        region.name,
        taken(region),
        behind(region)
    )
}

/// Never colour alone: the word is always there.
fn cell(stands: Option<&Stands>) -> String {
    match stands {
        None => "<td class=\"none\">none</td>".to_owned(),
        Some(Stands { status, latency_ms, verdict, .. }) => {
            let latency = latency_ms.map(|ms| format!(" <small>{ms} ms</small>")).unwrap_or_default();
            format!("<td class=\"{status}\" title=\"{}\">{status}{latency}</td>", escape(verdict))
        }
    }
}

fn taken(region: &Stood) -> String {
    region.utilization.map_or_else(
        || "not known".to_owned(),
        |taken| {
            let (load, most) = (taken.load, taken.capacity.max_concurrent_uploads);
            format!("{} of {most} <small>{:.0}%</small>", load.uploads, taken.ratio() * 100.0)
        },
    )
}

fn behind(region: &Stood) -> String {
    let known = region.lag_ms.iter().filter_map(|(from, ms)| Some(format!("{from} {} ms", (*ms)?)));
    let known: Vec<_> = known.collect();
    if known.is_empty() { "not known".to_owned() } else { known.join("<br>") }
}

fn copy(copy: &Copy) -> String {
    let reason = copy.reason.as_ref().map(|r| format!(": {}", escape(r))).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}{reason}</td><td>{}</td><td>{}</td></tr>\n",
        escape(&copy.key),
        copy.source,
        copy.destination,
        copy.size_bytes,
        copy.phase,
        copy.attempts,
        utc(copy.since_ms),
    )
}

/// `text` as it may stand in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => {
                // Writing to a string cannot fail.
                let _written = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a name says, it stays text.
        #[test]
        fn escaped_text_opens_no_tag_and_ends_no_attribute(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(!escaped.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
