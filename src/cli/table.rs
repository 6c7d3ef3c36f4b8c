//! Columns of text.

use std::io::{self, Write};

/// Writes rows with their columns aligned, each line after `indent`.
pub fn write<const N: usize>(rows: &[[String; N]], indent: &str, out: &mut dyn Write) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{indent}{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_stand_below_each_other() {
        let mut out = Vec::new();
        super::write(&[["a", "bb", "c"], ["äää", "b", ""]].map(|row| row.map(String::from)), "  ", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "  a    bb  c\n  äää  b\n");
    }
}
