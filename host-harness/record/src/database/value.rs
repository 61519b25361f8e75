//! Values that are bound to a statement.

use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Type};

use crate::record_error::RecordError;

/// A value, before it is known which engine takes it. `None` is NULL, of a type that PostgreSQL asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(Option<bool>),
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// What can be bound.
pub(crate) trait Bound: Sized {
    const NULL: Value;

    fn value(self) -> Value;
}

impl<T: Bound> Bound for Option<T> {
    const NULL: Value = T::NULL;

    fn value(self) -> Value {
        self.map_or(T::NULL, T::value)
    }
}

impl<T: Bound + Clone> Bound for &T {
    const NULL: Value = T::NULL;

    fn value(self) -> Value {
        self.clone().value()
    }
}

macro_rules! bound {
    ($($type:ty => $kind:ident),+ $(,)?) => {
        $(impl Bound for $type {
            const NULL: Value = Value::$kind(None);

            fn value(self) -> Value {
                Value::$kind(Some(self.into()))
            }
        })+
    };
}

bound! {
    bool => Bool,
    i64 => Integer,
    i32 => Integer,
    u32 => Integer,
    u16 => Integer,
    String => Text,
    &str => Text,
    Vec<u8> => Bytes,
    &[u8] => Bytes,
}

/// The values as SQLite takes them.
pub(crate) fn for_sqlite(values: Vec<Value>) -> Result<SqliteArguments, RecordError> {
    arguments(values)
}

/// The values as PostgreSQL takes them.
pub(crate) fn for_postgres(values: Vec<Value>) -> Result<PgArguments, RecordError> {
    arguments(values)
}

fn arguments<A: Arguments>(values: Vec<Value>) -> Result<A, RecordError>
where
    Option<bool>: Encode<'static, A::Database> + Type<A::Database>,
    Option<i64>: Encode<'static, A::Database> + Type<A::Database>,
    Option<String>: Encode<'static, A::Database> + Type<A::Database>,
    Option<Vec<u8>>: Encode<'static, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        let added = match value {
            Value::Bool(value) => arguments.add(value),
            Value::Integer(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
