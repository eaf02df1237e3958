//! Parses a condition into a program, within bounds.
//!
//! The CEL parser and evaluator recurse. Without bounds, a condition with a few dozen brackets
//! overflows the stack, which ends the whole process. So the text is bounded before it is parsed,
//! it is parsed on a stack that is large enough for every text within the bounds, and the accepted
//! program is flat enough to be evaluated on any thread.

use crate::domain::risk::expression::InvalidExpression;
use cel::common::ast::{EntryExpr, Expr, LiteralValue};
use cel::{IdedExpr, Program};
use regex::RegexBuilder;

/// The longest condition, in bytes.
const LONGEST: usize = 4_096;
/// The deepest nesting of brackets in the text. Those in quotes count too.
const MOST_BRACKETS: usize = 32;
/// The deepest nesting of the parsed expression. The evaluator can take more than twice as much on
/// a stack of 2 MiB.
const DEEPEST: usize = 24;
/// The largest compiled pattern of `matches`, in bytes.
const LARGEST_PATTERN: usize = 64 * 1024;
/// A stack on which every text within the bounds can be parsed: several times the largest observed
/// need.
const STACK: usize = 64 * 1024 * 1024;

/// Parses a condition.
pub fn program(source: &str) -> Result<Program, InvalidExpression> {
    if source.len() > LONGEST {
        return Err(InvalidExpression::TooLong(LONGEST));
    }
    if brackets(source) > MOST_BRACKETS {
        return Err(InvalidExpression::TooDeep);
    }
    let source = source.to_owned();
    let parse = move || {
        let program = Program::compile(&source)
            .map_err(|errors| InvalidExpression::Syntax(errors.to_string().split_whitespace().collect::<Vec<_>>().join(" ")))?;
        let expression = program.expression();
        if depth(expression) > DEEPEST {
            return Err(InvalidExpression::TooDeep);
        }
        if loops_in_loops(expression, false) { Err(InvalidExpression::LoopInLoop) } else { Ok(program) }
    };
    let parsed = std::thread::Builder::new().stack_size(STACK).spawn(parse).map(std::thread::JoinHandle::join);
    parsed.ok().and_then(Result::ok).unwrap_or_else(|| Err(InvalidExpression::Syntax("the parser gave up".to_owned())))
}

fn brackets(source: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn depth(expression: &IdedExpr) -> usize {
    1 + parts(expression).into_iter().map(depth).max().unwrap_or_default()
}

/// The direct subexpressions.
pub fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    fn entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
        match entry {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        }
    }
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(all) => vec![&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|it| entry(&it.expr)).collect(),
        Expr::Struct(value) => value.entries.iter().flat_map(|it| entry(&it.expr)).collect(),
    }
}

/// Whether a loop runs inside another one: then the steps multiply, and a task of a few kilobytes
/// takes minutes. The range of a loop may come from another loop (`filter(…).exists(…)`), because
/// that one ends first.
fn loops_in_loops(expression: &IdedExpr, inside: bool) -> bool {
    match &expression.expr {
        Expr::Comprehension(_) if inside => true,
        Expr::Comprehension(all) => {
            loops_in_loops(&all.iter_range, inside)
                || [&all.accu_init, &all.loop_cond, &all.loop_step, &all.result].into_iter().any(|part| loops_in_loops(part, true))
        }
        _ => parts(expression).into_iter().any(|part| loops_in_loops(part, inside)),
    }
}

/// The patterns of `matches` in an expression, each with its largest compiled size in bytes.
/// Compiling one, which happens at each use, costs more than everything else.
///
/// # Errors
/// A pattern that depends on the task, that is invalid, or that is too large.
pub fn patterns(expression: &IdedExpr) -> Result<Vec<(String, usize)>, InvalidExpression> {
    let mut found = Vec::new();
    if let Expr::Call(call) = &expression.expr
        && call.func_name == "matches"
    {
        let pattern = call.args.last().and_then(|pattern| match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => None,
        });
        let pattern = pattern.ok_or(InvalidExpression::ChosenPattern)?;
        let size = size_of(&pattern)?;
        found.push((pattern, size));
    }
    for part in parts(expression) {
        found.extend(patterns(part)?);
    }
    Ok(found)
}

/// The smallest power of two that bounds the compiled size of a pattern.
fn size_of(pattern: &str) -> Result<usize, InvalidExpression> {
    let mut limit = 256;
    loop {
        match RegexBuilder::new(pattern).size_limit(limit).build() {
            Ok(_) => return Ok(limit),
            Err(regex::Error::CompiledTooBig(_)) if limit < LARGEST_PATTERN => limit *= 2,
            Err(error) => {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                return Err(InvalidExpression::Pattern(last));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_overflows_the_stack() {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{1:", "}"),
            ("!", ""),
            ("-", ""),
            ("1+", ""),
            ("1 == ", ""),
            ("true && ", ""),
            ("true ? 1 : ", ""),
            ("[1].exists(x, ", ")"),
            ("size(", ")"),
            ("x.", ""),
            ("x[", "]"),
            ("'(' + ", ""),
        ] {
            for times in [10, 30, 100, LONGEST] {
                let source = format!("{}1{}", open.repeat(times), close.repeat(times));
                if let Ok(program) = program(&source) {
                    // On the small stack of a test, as on that of any worker.
                    let _ = program.execute(&cel::Context::default());
                }
            }
        }
        assert_eq!(program(&"(".repeat(40)).err(), Some(InvalidExpression::TooDeep));
        assert_eq!(program(&" ".repeat(5_000)).err(), Some(InvalidExpression::TooLong(LONGEST)));
        assert_eq!(program(&format!("{}1 > 0", "1 + ".repeat(40))).err(), Some(InvalidExpression::TooDeep));
    }

    #[test]
    fn an_ordinary_condition_is_far_from_the_bounds() {
        let source = r#"operation in ["deploy", "modify"] && (environment == "production" || environment == "staging")
            && now.getDayOfWeek() in [5, 6, 0] && !(has(metadata.hotfix) && metadata.hotfix == true)
            && security_findings.exists(f, f.severity == "high" && f.id.startsWith("CVE-"))
            && !(resource.matches("^db-(prod|live)-[0-9]+$") || requested_by.endsWith("-bot")) && estimated_cost * 2.0 + 1.0 > 12.5"#;
        assert!(depth(program(source).unwrap().expression()) <= DEEPEST / 2);
    }
}
