//! A mail server: strictly the dialog of RFC 5321, or whatever it is told to answer instead.

use super::http::lock;
use super::mail::{self, Mail};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The one account.
pub const USER: &str = "parkbrake";
pub const PASSWORD: &str = "s3cret/p@ss";

/// A running mail server.
pub struct Smtp {
    pub addr: std::net::SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    mails: Mutex<Vec<Mail>>,
    /// For a command, in capitals: the answer instead of the right one. `CONNECT` and `.` are the
    /// beginning and the end.
    instead: Mutex<HashMap<&'static str, &'static str>>,
    complaints: Mutex<Vec<String>>,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let inside = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&inside);
                tokio::spawn(async move {
                    if let Err(why) = converse(stream, &shared).await {
                        lock(&shared.complaints).push(why);
                    }
                });
            }
        });
        Self { addr, shared }
    }

    /// Its address with the account's name and password.
    pub fn url(&self) -> String {
        format!("smtp://{USER}:s3cret%2Fp%40ss@{}", self.addr)
    }

    /// From now on a command gets this answer, or, with `None`, the right one again.
    pub fn answer(&self, command: &'static str, line: Option<&'static str>) {
        let mut instead = lock(&self.shared.instead);
        match line {
            Some(line) => instead.insert(command, line),
            None => instead.remove(command),
        };
    }

    /// Every accepted mail, in order.
    pub fn mails(&self) -> Vec<Mail> {
        lock(&self.shared.mails).clone()
    }

    pub fn complaints(&self) -> Vec<String> {
        lock(&self.shared.complaints).clone()
    }
}

type Lines = BufReader<TcpStream>;

async fn converse(stream: TcpStream, shared: &Shared) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut stream = BufReader::new(stream);
    let (mut from, mut to): (Option<String>, Vec<String>) = (None, Vec::new());
    let (mut greeted, mut known) = (false, false);
    say(&mut stream, shared, "CONNECT", "220 mail.example.com ESMTP").await?;
    loop {
        let line = match line(&mut stream).await {
            Ok(line) => line,
            // Closing the connection without QUIT is rude, and common.
            Err(_) => return Ok(()),
        };
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "EHLO" if !rest.is_empty() => {
                greeted = true;
                say(&mut stream, shared, "EHLO", "250-mail.example.com\r\n250-8BITMIME\r\n250 AUTH PLAIN").await?;
            }
            "AUTH" if greeted => {
                use base64::Engine as _;
                let encoded = rest.strip_prefix("PLAIN ").ok_or("another mechanism than PLAIN")?;
                let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
                known = decoded == format!("\0{USER}\0{PASSWORD}").into_bytes();
                say(&mut stream, shared, "AUTH", if known { "235 welcome" } else { "535 5.7.8 credentials invalid" }).await?;
            }
            "MAIL" if known && from.is_none() => {
                from = Some(address(rest, "FROM:")?);
                say(&mut stream, shared, "MAIL", "250 ok").await?;
            }
            "RCPT" if from.is_some() => {
                to.push(address(rest, "TO:")?);
                say(&mut stream, shared, "RCPT", "250 ok").await?;
            }
            "DATA" if !to.is_empty() => {
                if say(&mut stream, shared, "DATA", "354 go on").await? {
                    let raw = data(&mut stream).await?;
                    let mail = mail::read(from.take().unwrap_or_default(), std::mem::take(&mut to), &raw)?;
                    if say(&mut stream, shared, ".", "250 queued").await? {
                        lock(&shared.mails).push(mail);
                    }
                }
            }
            "QUIT" => {
                say(&mut stream, shared, "QUIT", "221 bye").await?;
                return Ok(());
            }
            "RSET" | "NOOP" => {
                say(&mut stream, shared, "NOOP", "250 ok").await?;
            }
            _ => return Err(format!("`{line}` is not what comes here")),
        }
    }
}

/// Answers; returns whether it was the right answer.
async fn say(stream: &mut Lines, shared: &Shared, command: &str, right: &str) -> Result<bool, String> {
    let instead = lock(&shared.instead).get(command).copied();
    let line = instead.unwrap_or(right);
    if line == "silence" {
        std::future::pending::<()>().await;
    }
    stream.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|error| error.to_string())?;
    Ok(instead.is_none())
}

async fn line(stream: &mut Lines) -> Result<String, String> {
    let mut bytes = Vec::new();
    let length = stream.read_until(b'\n', &mut bytes).await.map_err(|error| error.to_string())?;
    let line = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    match line.strip_suffix("\r\n") {
        Some(line) if line.len() <= 510 && !line.contains(['\r', '\n']) => Ok(line.to_owned()),
        _ => Err(format!("no line after {length} bytes")),
    }
}

/// The mail up to its final dot, without the dots of transparency.
async fn data(stream: &mut Lines) -> Result<Vec<u8>, String> {
    let mut mail = Vec::new();
    while !mail.ends_with(b"\r\n.\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.map_err(|_| "the mail broke off".to_owned())?;
        mail.push(byte[0]);
    }
    mail.truncate(mail.len() - 3);
    let text = String::from_utf8(mail).map_err(|_| "a mail that is not UTF-8".to_owned())?;
    Ok(text.split("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect::<Vec<_>>().join("\r\n").into_bytes())
}

fn address(rest: &str, before: &str) -> Result<String, String> {
    let path = rest.strip_prefix(before).ok_or_else(|| format!("`{rest}` does not begin with {before}"))?;
    let path = path.split(' ').next().unwrap_or_default();
    let address = path.strip_prefix('<').and_then(|path| path.strip_suffix('>')).ok_or_else(|| format!("`{path}` is not a path"))?;
    if address.contains('@') { Ok(address.to_owned()) } else { Err(format!("`{address}` is not an address")) }
}
