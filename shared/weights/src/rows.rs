//! Changes of a matrix's order, whatever its elements are.

/// Rows as Hugging Face's rotary embedding takes them: of each of `heads` groups of rows, the even ones come first and then the odd ones. The rotation
/// turns a row of the first half with one of the second half, where other programs turn neighbours.
///
/// The rows must divide into groups of even size; see [`can_split_pairs`].
pub(crate) fn split_pairs(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let row = bytes.len() / rows.max(1);
    let size = rows / heads.max(1);
    let mut out = Vec::with_capacity(bytes.len());
    for head in 0..heads {
        for place in (0..size).step_by(2).chain((1..size).step_by(2)) {
            let at = (head * size + place) * row;
            out.extend_from_slice(&bytes[at..at + row]);
        }
    }
    out
}

/// Whether rows divide into `heads` groups of pairs.
pub(crate) fn can_split_pairs(rows: usize, heads: usize) -> bool {
    heads > 0 && rows > 0 && rows.is_multiple_of(2 * heads)
}

/// Rows become columns; an element takes `size` bytes.
pub(crate) fn transpose(bytes: &[u8], rows: usize, columns: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            out.extend_from_slice(&bytes[at..at + size]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_each_head_end_up_half_a_head_apart() {
        assert_eq!(split_pairs(&[0, 1, 2, 3, 4, 5, 6, 7], 8, 2), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(split_pairs(&[0, 0, 1, 1, 2, 2, 3, 3], 4, 1), [0, 0, 2, 2, 1, 1, 3, 3]);
    }

    #[test]
    fn a_matrix_turned_twice_is_itself() {
        let matrix: Vec<u8> = (0..24).collect();
        assert_eq!(transpose(&[1, 2, 3, 4, 5, 6], 2, 3, 1), [1, 4, 2, 5, 3, 6]);
        assert_eq!(transpose(&transpose(&matrix, 4, 3, 2), 3, 4, 2), matrix);
    }
}
