//! Expressions: fields, conditions, dimensions and arguments.

/// The operator of an [`Expr::Binary`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `&`
    BitwiseAnd,
    /// `|`
    BitwiseOr,
    /// `^`
    BitwiseXor,
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `=`
    Eq,
    /// `!=` or `<>`
    Neq,
    /// `=~`
    EqRegex,
    /// `!~`
    NeqRegex,
    /// `<`
    Lt,
    /// `<=`
    Lte,
    /// `>`
    Gt,
    /// `>=`
    Gte,
}

impl BinaryOp {
    /// How tightly the operator binds, 1 (`OR`) to 5 (`*`); all associate to the left.
    #[must_use]
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq
            | Self::Neq
            | Self::EqRegex
            | Self::NeqRegex
            | Self::Lt
            | Self::Lte
            | Self::Gt
            | Self::Gte => 3,
            Self::Add | Self::Sub | Self::BitwiseOr | Self::BitwiseXor => 4,
            Self::Mul | Self::Div | Self::Mod | Self::BitwiseAnd => 5,
        }
    }

    /// The operator as it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::BitwiseAnd => "&",
            Self::BitwiseOr => "|",
            Self::BitwiseXor => "^",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Eq => "=",
            Self::Neq => "!=",
            Self::EqRegex => "=~",
            Self::NeqRegex => "!~",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
        }
    }

    /// True for `AND` and `OR`.
    #[must_use]
    pub const fn is_logical(self) -> bool {
        matches!(self, Self::And | Self::Or)
    }

    /// True for `=` `!=` `=~` `!~` `<` `<=` `>` `>=`.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        self.precedence() == 3
    }

    /// True for `=~` and `!~`, whose right side is always an [`Expr::Regex`].
    #[must_use]
    pub const fn is_regex(self) -> bool {
        matches!(self, Self::EqRegex | Self::NeqRegex)
    }
}

/// The type that a cast (`name::type`) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `::float`
    Float,
    /// `::integer`
    Integer,
    /// `::unsigned`
    Unsigned,
    /// `::string`
    String,
    /// `::boolean`
    Boolean,
    /// `::tag`: the tag of this name, never a field.
    Tag,
    /// `::field`: the field of this name whatever its type, never a tag.
    AnyField,
}

impl DataType {
    /// The name as it is written after `::`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Tag => "tag",
            Self::AnyField => "field",
        }
    }
}

/// What a `*` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wildcard {
    /// `*`: all fields and tags.
    All,
    /// `*::field`
    Fields,
    /// `*::tag`
    Tags,
}

/// A reference to a tag, a field or `time`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VarRef {
    /// The name; segments of `a.b` are joined by their dots.
    pub name: String,
    /// The cast, if one was written.
    pub data_type: Option<DataType>,
}

impl VarRef {
    /// A reference without a cast.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            data_type: None,
        }
    }

    /// True for `time` in any case, which never names a tag or a field in a condition.
    #[must_use]
    pub fn is_time(&self) -> bool {
        self.name.eq_ignore_ascii_case("time")
    }
}

/// A function call. Whether the function exists is not checked here.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name, in lower case.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Expr>,
}

/// An expression. Bound parameters (`$name`) are replaced by their values while parsing.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `lhs op rhs`. Chains of `AND` or of `OR` longer than a few dozen are balanced trees, shorter
    /// ones and all other operators lean to the left; both print alike.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left side.
        lhs: Box<Expr>,
        /// Right side.
        rhs: Box<Expr>,
    },
    /// `( expr )`
    Paren(Box<Expr>),
    /// `name(args)`
    Call(Call),
    /// `DISTINCT name`, which means `distinct(name)`.
    Distinct(String),
    /// A tag, a field or `time`.
    VarRef(VarRef),
    /// `*`
    Wildcard(Wildcard),
    /// A regular expression in the syntax of Go, without its slashes and with `\/` undone. It has
    /// not been compiled: whether it is valid is found out by whoever does.
    Regex(String),
    /// A number with a decimal point.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// A whole number above `i64::MAX`.
    Unsigned(u64),
    /// A string in single quotes, escapes undone. A time string is one of these.
    String(String),
    /// `true` or `false`
    Boolean(bool),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A time in nanoseconds since the epoch. Never parsed; made by folding constants.
    Time(i64),
    /// No value. Never parsed; made by folding constants.
    Nil,
}

impl Expr {
    /// `lhs op rhs`
    #[must_use]
    pub fn binary(op: BinaryOp, lhs: Self, rhs: Self) -> Self {
        Self::Binary {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
        }
    }

    /// A reference without a cast.
    #[must_use]
    pub fn var(name: impl Into<String>) -> Self {
        Self::VarRef(VarRef::new(name))
    }

    /// A call; the name must be in lower case.
    #[must_use]
    pub fn call(name: impl Into<String>, args: Vec<Self>) -> Self {
        Self::Call(Call {
            name: name.into(),
            args,
        })
    }

    /// True for numbers, strings, booleans, durations, times and regular expressions.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        matches!(
            self,
            Self::Regex(_)
                | Self::Number(_)
                | Self::Integer(_)
                | Self::Unsigned(_)
                | Self::String(_)
                | Self::Boolean(_)
                | Self::Duration(_)
                | Self::Time(_)
                | Self::Nil
        )
    }
}
