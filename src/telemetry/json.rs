//! Log lines as JSON objects, one per line. The fields of the spans around an event are added to
//! the event's own.

use serde_json::{Map, Value};
use std::error::Error;
use std::fmt::{self, Debug};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes each event as a JSON object. The spans' fields are expected to be formatted as JSON
/// objects, too.
pub struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        // From the outermost span inward: fields of inner spans take precedence.
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(formatted) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(of_span) = serde_json::from_str::<Map<String, Value>>(&formatted.fields)
            {
                fields.0.extend(of_span);
            }
        }
        event.record(&mut fields);
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        write!(writer, r#"{{"timestamp":"{now}","level":"{}""#, event.metadata().level())?;
        let message = fields.0.remove_entry("message");
        for (name, value) in message.into_iter().chain(fields.0) {
            write!(writer, ",{}:{value}", Value::String(name))?;
        }
        writeln!(writer, r#","target":"{}"}}"#, event.metadata().target())
    }
}

/// Collects the fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.insert(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::format::JsonFields;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The logged lines, parsed.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let log =
            tracing_subscriber::fmt().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, work);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_event_and_spans_and_the_innermost_wins() {
        let lines = logged(|| {
            tracing::error_span!("workflow", workflow.id = "of the span", step = 1).in_scope(|| {
                tracing::warn_span!("inner", step = 2).in_scope(|| tracing::info!(attempt = 3_u64, "it starts"));
                tracing::info!(workflow.id = "of the event", done = true, "it ended");
            });
            tracing::info!("alone");
        });
        let [starts, ended, alone] = &lines[..] else { panic!("{lines:#?}") };
        assert_eq!((&starts["message"], &starts["workflow.id"]), (&Value::from("it starts"), &Value::from("of the span")));
        assert_eq!((&starts["step"], &starts["attempt"], &starts["level"]), (&Value::from(2), &Value::from(3), &Value::from("INFO")));
        assert_eq!((&ended["workflow.id"], &ended["done"]), (&Value::from("of the event"), &Value::from(true)));
        assert_eq!((alone.get("workflow.id"), &alone["target"]), (None, &Value::from(module_path!())));
        assert!(alone["timestamp"].as_str().is_some_and(|at| at.parse::<chrono::DateTime<chrono::Utc>>().is_ok()), "{alone}");
    }

    #[test]
    fn a_value_cannot_break_out_of_its_line() {
        let lines = logged(|| {
            let error = io::Error::other("two\nlines, \"quoted\"");
            tracing::warn!(error = &error as &dyn Error, shown = %error, text = "{\"level\":\"ERROR\"}\n", "no\nbreak");
        });
        let [line] = &lines[..] else { panic!("{lines:#?}") };
        assert_eq!((&line["error"], &line["shown"]), (&Value::from("two\nlines, \"quoted\""), &Value::from("two\nlines, \"quoted\"")));
        assert_eq!((&line["message"], &line["level"]), (&Value::from("no\nbreak"), &Value::from("WARN")));
    }
}
