//! Tokens to tree: one function a level of the grammar (cel-spec, "Syntax").

use super::{
    Element, Entry, Expr, Kind, MAX_NESTING,
    lexer::{Token, TokenKind},
    literal,
};
use crate::cel::{
    Value,
    compile_error::Fault,
    names::{KEYWORDS, RESERVED},
};

/// A relation and a sum bind tighter from row to row.
const BINARY: [&[(&str, &str)]; 3] = [
    &[("==", "_==_"), ("!=", "_!=_"), ("<=", "_<=_"), (">=", "_>=_"), ("<", "_<_"), (">", "_>_"), ("in", "@in")],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

pub(super) struct Parser {
    tokens: Vec<Token>,
    next: usize,
    nesting: u16,
    end: usize,
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>, end: usize) -> Self {
        Self { tokens, next: 0, nesting: 0, end }
    }

    pub(super) fn whole(mut self) -> Result<Expr, Fault> {
        let expression = self.expression()?;
        match self.tokens.get(self.next) {
            None => Ok(expression),
            Some(_) => Err(self.unexpected("an operator or the end")),
        }
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Fault::new(self.at(), format!("more than {MAX_NESTING} brackets are nested; split the rule")));
        }
        let mut expression = self.or()?;
        let at = self.at();
        if self.takes("?") {
            let then = self.or()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            expression = Expr::new(at, Kind::Conditional(Box::new([expression, then, otherwise])))?;
        }
        self.nesting -= 1;
        Ok(expression)
    }

    fn or(&mut self) -> Result<Expr, Fault> {
        let first = self.and()?;
        let at = self.at();
        let mut parts = vec![first];
        while self.takes("||") {
            parts.push(self.and()?);
        }
        one_or(parts, |parts| Expr::new(at, Kind::Or(parts)))
    }

    fn and(&mut self) -> Result<Expr, Fault> {
        let first = self.binary(0)?;
        let at = self.at();
        let mut parts = vec![first];
        while self.takes("&&") {
            parts.push(self.binary(0)?);
        }
        one_or(parts, |parts| Expr::new(at, Kind::And(parts)))
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Fault> {
        let Some(operators) = BINARY.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let at = self.at();
            let Some((_, function)) = operators.iter().find(|(sign, _)| self.takes(sign)) else {
                return Ok(left);
            };
            let right = self.binary(level + 1)?;
            left = call(at, function, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            let mut count = 0;
            while self.peeks(sign) {
                if sign == "-" && count == 0 && self.number_follows() {
                    return self.member();
                }
                self.next += 1;
                count += 1;
            }
            if count > 0 {
                // An even number of signs takes itself back, as in cel-go.
                let operand = self.member()?;
                return if count % 2 == 0 { Ok(operand) } else { call(at, function, vec![operand]) };
            }
        }
        self.member()
    }

    /// Whether the minus that is next is the sign of a literal.
    fn number_follows(&self) -> bool {
        let after = self.tokens.get(self.next + 1).map(|token| &token.kind);
        matches!(after, Some(TokenKind::Int(_) | TokenKind::Double(_)))
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let mut operand = self.primary()?;
        loop {
            let at = self.at();
            if self.takes(".") {
                let optional = self.takes("?");
                let name_at = self.at();
                let field = self.field()?;
                let kind = if !optional && self.takes("(") {
                    let arguments = self.arguments()?;
                    Kind::Call { target: Some(Box::new(operand)), function: field, arguments }
                } else {
                    Kind::Select { operand: Box::new(operand), field, optional }
                };
                operand = Expr::new(name_at, kind)?;
            } else if self.takes("[") {
                let optional = self.takes("?");
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                operand = Expr::new(at, Kind::Index { operand: Box::new(operand), index, optional })?;
            } else if self.peeks("{") && operand.qualified_name().is_some() {
                return Err(Fault::new(at, "messages cannot be built here; write a map: {'key': value}"));
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        if self.takes("(") {
            let inner = self.expression()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.takes("[") {
            return self.list(at);
        }
        if self.takes("{") {
            return self.map(at);
        }
        let negative = self.takes("-");
        let Some(token) = self.tokens.get(self.next) else {
            return Err(self.unexpected("a value"));
        };
        let value = match token.kind.clone() {
            TokenKind::Int(text) => literal::int(&text, negative, at)?,
            TokenKind::Double(text) => literal::double(&text, negative, at)?,
            // The grammar gives a sign of its own to these two only: `!-2u` is no expression.
            _ if negative => return Err(self.unexpected("a number")),
            TokenKind::Uint(text) => literal::uint(&text, at)?,
            TokenKind::Literal(value) => value,
            TokenKind::Name(_) | TokenKind::Sign(_) => return self.named(at),
        };
        self.next += 1;
        Expr::new(at, Kind::Literal(value))
    }

    /// A constant's, variable's or function's name.
    fn named(&mut self, at: usize) -> Result<Expr, Fault> {
        let absolute = self.takes(".");
        let Some(TokenKind::Name(name)) = self.tokens.get(self.next).map(|token| token.kind.clone()) else {
            return Err(self.unexpected("a value"));
        };
        let constant = match name.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = constant.filter(|_| !absolute) {
            self.next += 1;
            return Expr::new(at, Kind::Literal(value));
        }
        if KEYWORDS.contains(&name.as_str()) {
            return Err(self.unexpected("a value"));
        }
        if RESERVED.contains(&name.as_str()) {
            return Err(Fault::new(at, format!("`{name}` is a reserved word and no name")));
        }
        self.next += 1;
        if !self.takes("(") {
            return Expr::new(at, Kind::Identifier { name, absolute });
        }
        let mut arguments = self.arguments()?;
        if name != "has" || arguments.len() != 1 {
            return Expr::new(at, Kind::Call { target: None, function: name, arguments });
        }
        match arguments.pop().map(|argument| argument.kind) {
            Some(Kind::Select { operand, field, optional: false }) => Expr::new(at, Kind::Presence { operand, field }),
            _ => Err(Fault::new(at, "has() takes a field: has(claims.name)")),
        }
    }

    fn list(&mut self, at: usize) -> Result<Expr, Fault> {
        let mut elements = Vec::new();
        // The grammar lets a comma end a list, even an empty one.
        if self.takes(",") {
            self.expect("]")?;
            return Expr::new(at, Kind::List(elements));
        }
        while !self.takes("]") {
            let optional = self.takes("?");
            elements.push(Element { optional, value: self.expression()? });
            if !self.takes(",") {
                self.expect("]")?;
                break;
            }
        }
        Expr::new(at, Kind::List(elements))
    }

    fn map(&mut self, at: usize) -> Result<Expr, Fault> {
        let mut entries = Vec::new();
        if self.takes(",") {
            self.expect("}")?;
            return Expr::new(at, Kind::Map(entries));
        }
        while !self.takes("}") {
            let optional = self.takes("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { optional, key, value: self.expression()? });
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Expr::new(at, Kind::Map(entries))
    }

    /// Arguments after the opening parenthesis.
    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        let mut arguments = Vec::new();
        if self.takes(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.takes(",") {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn field(&mut self) -> Result<String, Fault> {
        match self.tokens.get(self.next).map(|token| &token.kind) {
            Some(TokenKind::Name(name)) if KEYWORDS.contains(&name.as_str()) => {
                Err(Fault::new(self.at(), format!("`{name}` is a keyword; write the field as `__{name}__`")))
            }
            Some(TokenKind::Name(name)) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected("the name of a field")),
        }
    }

    fn peeks(&self, sign: &str) -> bool {
        match self.tokens.get(self.next).map(|token| &token.kind) {
            Some(TokenKind::Sign(found)) => *found == sign,
            Some(TokenKind::Name(found)) => found == sign,
            _ => false,
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.peeks(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.tokens.get(self.next).map(|token| &token.kind) {
            None => "the end".to_owned(),
            Some(TokenKind::Sign(sign)) => format!("`{sign}`"),
            Some(TokenKind::Name(name)) => format!("`{name}`"),
            Some(TokenKind::Int(_) | TokenKind::Uint(_) | TokenKind::Double(_)) => "a number".to_owned(),
            Some(TokenKind::Literal(_)) => "a text".to_owned(),
        };
        Fault::new(self.at(), format!("expected {wanted}, found {found}"))
    }
}

fn call(at: usize, function: &str, arguments: Vec<Expr>) -> Result<Expr, Fault> {
    Expr::new(at, Kind::Call { target: None, function: function.to_owned(), arguments })
}

/// The one part itself, or what `many` makes of several.
fn one_or(mut parts: Vec<Expr>, many: impl FnOnce(Vec<Expr>) -> Result<Expr, Fault>) -> Result<Expr, Fault> {
    match parts.pop() {
        Some(only) if parts.is_empty() => Ok(only),
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}
