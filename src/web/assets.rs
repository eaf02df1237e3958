//! The style sheet, the script and the icon. They are compiled in and named by their contents, so
//! browsers may cache them.

use crate::domain::task::digest::Digest;
use crate::http::routing;
use crate::web::Web;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

const STYLE: &str = concat!(include_str!("static/inbox.css"), include_str!("static/charts.css"), include_str!("static/docs.css"));
const SCRIPT: &str = concat!(include_str!("static/inbox.js"), include_str!("static/keys.js"), include_str!("static/push.js"));
const ICON: &str = include_str!("static/icon.svg");
/// The icon while something critical waits.
const ICON_CRITICAL: &str = include_str!("static/icon_critical.svg");

/// The addresses of the assets.
#[derive(Debug, Serialize)]
pub struct Assets {
    pub style: String,
    pub script: String,
    pub icon: String,
    pub icon_critical: String,
    pub manifest: String,
    #[serde(skip)]
    manifest_text: String,
}

impl Default for Assets {
    fn default() -> Self {
        let address = |stem: &str, ending: &str, contents: &str| {
            let digest = Digest::of(contents.as_bytes());
            let hash: String = digest.as_str().chars().skip_while(|character| *character != ':').skip(1).take(16).collect();
            format!("/inbox/assets/{stem}-{hash}.{ending}")
        };
        let icon = address("icon", "svg", ICON);
        let manifest_text = manifest(&icon);
        Self {
            style: address("inbox", "css", STYLE),
            script: address("inbox", "js", SCRIPT),
            icon_critical: address("icon-critical", "svg", ICON_CRITICAL),
            manifest: address("inbox", "webmanifest", &manifest_text),
            manifest_text,
            icon,
        }
    }
}

/// The web app manifest, with which a phone can install the inbox as an app.
fn manifest(icon: &str) -> String {
    json!({
        "name": "parkbrake", "short_name": "parkbrake", "description": "What waits for a decision", "id": "/", "start_url": "/", "scope": "/",
        "display": "standalone", "icons": [{ "src": icon, "sizes": "any", "type": "image/svg+xml" }]
    })
    .to_string()
}

/// `GET /inbox/assets/{name}`
pub async fn serve(State(web): State<Web>, Path(name): Path<String>) -> Response {
    let assets = &web.pages.assets;
    let all = [
        (&assets.style, "text/css; charset=utf-8", STYLE),
        (&assets.script, "text/javascript; charset=utf-8", SCRIPT),
        (&assets.icon, "image/svg+xml", ICON),
        (&assets.icon_critical, "image/svg+xml", ICON_CRITICAL),
        (&assets.manifest, "application/manifest+json", &assets.manifest_text),
    ];
    let wanted = all.into_iter().find(|(address, _, _)| address.strip_prefix("/inbox/assets/") == Some(&name));
    match wanted {
        Some((_, kind, contents)) => {
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], contents.to_owned())
                .into_response()
        }
        None => routing::not_found().await,
    }
}
