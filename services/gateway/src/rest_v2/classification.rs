//! The classification extension: of an output's last dimension, the highest values with their places, as `value:place`.

use bytes::{BufMut as _, Bytes, BytesMut};
use half::{bf16, f16};

use super::datatype::Datatype;

/// The highest `classes` of each row, the highest first; equal ones in the order of their places. Gives the new shape and BYTES.
///
/// The error says why the output has no classes.
pub(super) fn highest(datatype: Datatype, shape: &[i64], data: &[u8], classes: usize) -> Result<(Vec<i64>, Bytes), String> {
    let values = values(datatype, data).ok_or("classification is asked of an output of BYTES; leave it out")?;
    let (&width, rows) = shape.split_last().ok_or("classification is asked of an output without dimensions; leave it out")?;
    let width = usize::try_from(width).ok().filter(|&width| width > 0).ok_or("classification is asked of an empty output; leave it out")?;
    let classes = classes.min(width);
    let mut found = BytesMut::new();
    for row in values.chunks_exact(width) {
        let mut places: Vec<usize> = (0..width).collect();
        places.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        for &place in &places[..classes] {
            let text = if datatype_is_whole(datatype) { format!("{}:{place}", row[place]) } else { format!("{:.6}:{place}", row[place]) };
            found.put_u32_le(text.len() as u32);
            found.extend_from_slice(text.as_bytes());
        }
    }
    Ok(([rows, &[classes.try_into().unwrap_or(i64::MAX)]].concat(), found.freeze()))
}

fn datatype_is_whole(datatype: Datatype) -> bool {
    !matches!(datatype, Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64)
}

fn values(datatype: Datatype, data: &[u8]) -> Option<Vec<f64>> {
    Some(match datatype {
        Datatype::Bool | Datatype::Uint8 => data.iter().map(|&byte| byte.into()).collect(),
        Datatype::Int8 => data.iter().map(|&byte| byte.cast_signed().into()).collect(),
        Datatype::Uint16 => read(data, |bytes| u16::from_le_bytes(bytes).into()),
        Datatype::Int16 => read(data, |bytes| i16::from_le_bytes(bytes).into()),
        Datatype::Uint32 => read(data, |bytes| u32::from_le_bytes(bytes).into()),
        Datatype::Int32 => read(data, |bytes| i32::from_le_bytes(bytes).into()),
        Datatype::Uint64 => read(data, |bytes| u64::from_le_bytes(bytes) as f64),
        Datatype::Int64 => read(data, |bytes| i64::from_le_bytes(bytes) as f64),
        Datatype::Fp16 => read(data, |bytes| f16::from_le_bytes(bytes).into()),
        Datatype::Bf16 => read(data, |bytes| bf16::from_le_bytes(bytes).into()),
        Datatype::Fp32 => read(data, |bytes| f32::from_le_bytes(bytes).into()),
        Datatype::Fp64 => read(data, f64::from_le_bytes),
        Datatype::Bytes => return None,
    })
}

fn read<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_each_row_come_with_their_places() {
        let data: Vec<u8> = [0.1_f32, 0.7, 0.2, 0.5, 0.25, 0.25].iter().flat_map(|value| value.to_le_bytes()).collect();
        let (shape, found) = highest(Datatype::Fp32, &[2, 3], &data, 2).unwrap();
        assert_eq!(shape, [2, 2]);
        assert_eq!(found, &b"\x0a\0\0\x000.700000:1\x0a\0\0\x000.200000:2\x0a\0\0\x000.500000:0\x0a\0\0\x000.250000:1"[..]);
    }

    #[test]
    fn whole_numbers_are_written_as_such_and_more_classes_than_there_are_is_all() {
        let (shape, found) = highest(Datatype::Int8, &[2], &[0xff, 3], 9).unwrap();
        assert_eq!((shape, found), (vec![2], Bytes::from_static(b"\x03\0\0\x003:1\x04\0\0\0-1:0")));
    }

    #[test]
    fn an_output_without_classes_is_refused() {
        assert!(highest(Datatype::Bytes, &[1], b"", 1).unwrap_err().contains("BYTES"));
        assert!(highest(Datatype::Fp32, &[], b"", 1).is_err() && highest(Datatype::Fp32, &[2, 0], b"", 1).is_err());
    }
}
