//! The style, the script and the icon: part of the program, named by their contents, so that a browser may keep them.

use crate::domain::task::digest::Digest;
use crate::http::routing;
use crate::web::Web;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

const STYLE: &str = concat!(include_str!("static/inbox.css"), include_str!("static/charts.css"), include_str!("static/docs.css"));
const SCRIPT: &str = include_str!("static/inbox.js");
const ICON: &str = include_str!("static/icon.svg");

/// The addresses of the assets.
#[derive(Debug, Serialize)]
pub struct Assets {
    pub style: String,
    pub script: String,
    pub icon: String,
}

impl Default for Assets {
    fn default() -> Self {
        let address = |stem: &str, ending: &str, contents: &str| {
            let digest = Digest::of(contents.as_bytes());
            let hash: String = digest.as_str().chars().skip_while(|character| *character != ':').skip(1).take(16).collect();
            format!("/inbox/assets/{stem}-{hash}.{ending}")
        };
        Self { style: address("inbox", "css", STYLE), script: address("inbox", "js", SCRIPT), icon: address("icon", "svg", ICON) }
    }
}

/// `GET /inbox/assets/{name}`
pub async fn serve(State(web): State<Web>, Path(name): Path<String>) -> Response {
    let assets = &web.pages.assets;
    let all = [
        (&assets.style, "text/css; charset=utf-8", STYLE),
        (&assets.script, "text/javascript; charset=utf-8", SCRIPT),
        (&assets.icon, "image/svg+xml", ICON),
    ];
    let wanted = all.into_iter().find(|(address, _, _)| address.strip_prefix("/inbox/assets/") == Some(&name));
    match wanted {
        Some((_, kind, contents)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], contents).into_response()
        }
        None => routing::not_found().await,
    }
}
