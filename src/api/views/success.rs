//! The field that every 2xx with a body contains.

use serde::{Serialize, Serializer};
use std::borrow::Cow;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Always `true`, in every 2xx with a body. An error is a problem, and has no such field.
#[derive(Debug, Clone, Copy)]
pub struct Success;

impl Serialize for Success {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl PartialSchema for Success {
    fn schema() -> RefOr<Schema> {
        let description = "Always `true`; an error is a problem, and has no such field.";
        ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])).description(Some(description)).into()
    }
}

impl ToSchema for Success {
    fn name() -> Cow<'static, str> {
        "Success".into()
    }
}
