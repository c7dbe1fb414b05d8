//! The second chance of `lenient: true`.
//!
//! Leniency is not a second parser. A head with bare LFs or folded fields is rewritten into the strict form, and that is
//! parsed with every rule in force; so what lenient listeners forward is canonical too. It allocates: nobody is fast and sloppy here.

use memchr::memchr;

use super::parse::{self, Found};
use crate::error::Rule;
use crate::head::Leniency;
use crate::page::Pages;
use crate::rules::Rules;

/// Parses a request that broke `rule`, bare LF or obs-fold, as if it had not.
#[cold]
pub(super) fn request(bytes: &[u8], rule: Rule, rules: &Rules, pages: &mut Pages) -> Found {
    let Some((rewritten, used)) = rewrite(bytes)? else {
        return Ok(None);
    };
    let Some((mut head, _)) = parse::request(&rewritten, rules, pages)? else {
        return Ok(None);
    };
    head.size = u32::try_from(used).unwrap_or(u32::MAX);
    head.leniency = Some(if rule == Rule::ObsFold { Leniency::Fold } else { Leniency::LineEnds });
    Ok(Some((head, used)))
}

/// The strict form of the head and how many bytes it stands for, or None if its end is not there.
fn rewrite(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Rule> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    let mut lines = 0usize;
    while let Some(end) = memchr(b'\n', rest) {
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
        match line {
            [] if lines == 0 && out.is_empty() => {
                out.extend_from_slice(b"\r\n");
                continue;
            }
            [] if lines == 0 => return Err(Rule::EmptyLines),
            // A fold becomes one space (RFC 9112 section 5.2). The first field has nothing to continue.
            [b' ' | b'\t', ..] if lines > 1 => {
                out.truncate(out.len().saturating_sub(2));
                out.push(b' ');
                out.extend_from_slice(crate::fields::trim(line));
            }
            _ => out.extend_from_slice(line),
        }
        out.extend_from_slice(b"\r\n");
        lines = lines.saturating_add(1);
        if line.is_empty() {
            return Ok(Some((out, bytes.len().saturating_sub(rest.len()))));
        }
    }
    Ok(None)
}
