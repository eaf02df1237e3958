//! A browser, as far as the inbox needs one: it keeps a cookie, states the origin of a form, and
//! sends the fields of a page.

use super::called;
use super::client::{self, token};
use regex::Regex;
use reqwest::{Method, StatusCode};
use std::net::SocketAddr;

/// A person at a screen.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    pub cookie: Option<String>,
}

/// What is on the screen.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub html: String,
}

impl Page {
    /// The page, checked for this status, for the headers of every page, and for content that the
    /// policy would block.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.html);
        let policy = self.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(self.headers["referrer-policy"], "same-origin");
        assert_eq!(self.headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        assert_eq!(self.headers["cache-control"], "no-store");
        let (quoted, inline) = (Regex::new(r#""[^"]*""#).unwrap(), Regex::new(r"(?i)\s(on\w+|style|srcdoc)\s*=").unwrap());
        for tag in all(r"<[a-zA-Z][^>]*>", &self.html) {
            assert!(!inline.is_match(&quoted.replace_all(&tag, "")), "{tag}");
            assert!(!tag.starts_with("<style") && !tag.contains("javascript:"), "{tag}");
            assert!(!tag.starts_with("<script") || tag.contains("src=\"&#x2f;inbox&#x2f;assets&#x2f;inbox-"), "{tag}");
        }
        self
    }

    /// Where it redirects to.
    #[track_caller]
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.html);
        self.headers["location"].to_str().unwrap()
    }

    #[track_caller]
    pub fn has(&self, text: &str) -> &Self {
        assert!(self.html.contains(text), "{text:?} is not in {}", self.html);
        self
    }

    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Self {
        assert!(!self.html.contains(text), "{text:?} is in {}", self.html);
        self
    }

    /// The hidden fields of the form with this action.
    #[track_caller]
    pub fn hidden(&self, action: &str) -> Vec<(String, String)> {
        let start = self.html.find(&format!("action=\"{action}\"")).unwrap_or_else(|| panic!("no form {action} in {}", self.html));
        let form = self.html[start..].split("</form>").next().unwrap();
        let field = Regex::new(r#"<input type="hidden" name="([^"]*)" value="([^"]*)">"#).unwrap();
        field.captures_iter(form).map(|found| (found[1].to_owned(), plain(&found[2]))).collect()
    }

    /// The ids of the requests that it lists.
    pub fn ids(&self) -> Vec<String> {
        let row = Regex::new(r#"<th scope="row"><a href="/inbox/workflows/([0-9a-f-]{36})["?]"#).unwrap();
        row.captures_iter(&self.html).map(|found| found[1].to_owned()).collect()
    }

    /// Where the link to the next page leads.
    pub fn next(&self) -> Option<String> {
        Regex::new(r#"<a href="([^"]*)" rel="next">"#).unwrap().captures(&self.html).map(|found| plain(&found[1]))
    }
}

fn all(pattern: &str, text: &str) -> Vec<String> {
    Regex::new(pattern).unwrap().find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// The text of a page, unescaped.
fn plain(html: &str) -> String {
    [("&#x2f;", "/"), ("&quot;", "\""), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
        .iter()
        .fold(html.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

impl Browser {
    /// A browser that is not signed in.
    pub fn new(addr: SocketAddr) -> Self {
        // The API's client, so that TLS is set up in the same way.
        let _ = super::Client::new(addr, "nobody");
        let http = client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { http, base: format!("http://{addr}"), cookie: None }
    }

    /// A browser with this cookie.
    pub fn with_cookie(addr: SocketAddr, cookie: Option<&str>) -> Self {
        Self { cookie: cookie.map(str::to_owned), ..Self::new(addr) }
    }

    /// A browser of a person who is signed in.
    #[track_caller]
    pub fn of(addr: SocketAddr, name: &str) -> impl Future<Output = Self> {
        super::called(async move {
            let mut browser = Self::new(addr);
            let page = browser.sign_in(&token(name), "/").await;
            assert_eq!(page.location(), "/");
            browser
        })
    }

    #[track_caller]
    pub fn sign_in(&mut self, token: &str, next: &str) -> impl Future<Output = Page> {
        called(async move {
            let page = self.post("/sign-in", &[("token", token), ("next", next)]).await;
            if let Some(cookie) = page.headers.get("set-cookie") {
                self.cookie = cookie.to_str().unwrap().split(';').next().map(str::to_owned);
            }
            page
        })
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    #[track_caller]
    pub fn send(&self, request: reqwest::RequestBuilder) -> impl Future<Output = Page> {
        called(async move {
            let response = request.send().await.expect("an answer");
            Page { status: response.status(), headers: response.headers().clone(), html: response.text().await.expect("a page") }
        })
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a form from a page of this origin.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.send(self.form(path, fields).header("sec-fetch-site", "same-origin")).await
    }

    /// A form without an origin.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body.join("&"))
    }

    /// Fills in the form of a page and sends it, with its hidden fields.
    pub async fn submit(&self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let hidden = page.hidden(action);
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.post(action, &hidden.chain(fields.iter().copied()).collect::<Vec<_>>()).await
    }
}
