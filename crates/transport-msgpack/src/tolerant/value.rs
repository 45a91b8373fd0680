//! One value after the other, whatever it is.

use plushie_pool_core::MAX_DEPTH;
use rmp::Marker;

use crate::scan::Malformed;

/// The deepest nesting that a renderer reads; empty maps and arrays do not count.
pub(super) const DEPTH: usize = MAX_DEPTH + 1;

/// What is left of a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    rest: &'a [u8],
}

/// A value, or the beginning of one that holds others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Also what begins no value.
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    /// A text, which may not be UTF-8.
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Ext(i8, &'a [u8]),
    /// The beginning of an array of so many elements.
    Array(u32),
    /// The beginning of a map of so many entries.
    Map(u32),
}

impl Value<'_> {
    /// How many values it holds.
    pub(super) fn holds(self) -> u64 {
        match self {
            Self::Array(len) => len.into(),
            Self::Map(len) => u64::from(len) * 2,
            _ => 0,
        }
    }
}

impl<'a> Values<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next value; what it holds comes after it.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Value<'a>, Malformed> {
        use Marker::*;
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Null | Reserved => Value::Nil,
            True => Value::Bool(true),
            False => Value::Bool(false),
            FixPos(value) => Value::Unsigned(value.into()),
            FixNeg(value) => Value::Signed(value.into()),
            U8 => Value::Unsigned(u8::from_be_bytes(self.array()?).into()),
            U16 => Value::Unsigned(u16::from_be_bytes(self.array()?).into()),
            U32 => Value::Unsigned(u32::from_be_bytes(self.array()?).into()),
            U64 => Value::Unsigned(u64::from_be_bytes(self.array()?)),
            I8 => Value::Signed(i8::from_be_bytes(self.array()?).into()),
            I16 => Value::Signed(i16::from_be_bytes(self.array()?).into()),
            I32 => Value::Signed(i32::from_be_bytes(self.array()?).into()),
            I64 => Value::Signed(i64::from_be_bytes(self.array()?)),
            F32 => Value::F32(f32::from_be_bytes(self.array()?)),
            F64 => Value::F64(f64::from_be_bytes(self.array()?)),
            FixStr(len) => Value::Str(self.take(len.into())?),
            Str8 => Value::Str(self.sized::<1>()?),
            Str16 => Value::Str(self.sized::<2>()?),
            Str32 => Value::Str(self.sized::<4>()?),
            Bin8 => Value::Bin(self.sized::<1>()?),
            Bin16 => Value::Bin(self.sized::<2>()?),
            Bin32 => Value::Bin(self.sized::<4>()?),
            FixExt1 => self.ext(1)?,
            FixExt2 => self.ext(2)?,
            FixExt4 => self.ext(4)?,
            FixExt8 => self.ext(8)?,
            FixExt16 => self.ext(16)?,
            Ext8 => {
                let len = self.len::<1>()?;
                self.ext(len as usize)?
            }
            Ext16 => {
                let len = self.len::<2>()?;
                self.ext(len as usize)?
            }
            Ext32 => {
                let len = self.len::<4>()?;
                self.ext(len as usize)?
            }
            FixArray(len) => Value::Array(len.into()),
            Array16 => Value::Array(self.len::<2>()?),
            Array32 => Value::Array(self.len::<4>()?),
            FixMap(len) => Value::Map(len.into()),
            Map16 => Value::Map(self.len::<2>()?),
            Map32 => Value::Map(self.len::<4>()?),
        })
    }

    /// Passes over what `value`, which lies within `outer` maps and arrays, holds.
    pub(super) fn pass(&mut self, value: Value<'a>, outer: usize) -> Result<(), Malformed> {
        if value.holds() == 0 {
            return Ok(());
        }
        // How many values are still to come in each map and array that is open.
        let mut open = [0_u64; DEPTH];
        let mut depth = outer;
        let mut holds = value.holds();
        loop {
            if holds > 0 {
                *open.get_mut(depth).ok_or(Malformed::TooDeep)? = holds;
                depth += 1;
            } else {
                loop {
                    if depth == outer {
                        return Ok(());
                    }
                    open[depth - 1] -= 1;
                    if open[depth - 1] > 0 {
                        break;
                    }
                    depth -= 1;
                }
            }
            holds = self.next()?.holds();
        }
    }

    fn ext(&mut self, len: usize) -> Result<Value<'a>, Malformed> {
        let [kind] = self.array()?;
        Ok(Value::Ext(i8::from_be_bytes([kind]), self.take(len)?))
    }

    fn sized<const N: usize>(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len::<N>()? as usize;
        self.take(len)
    }

    /// A length of `N` bytes.
    fn len<const N: usize>(&mut self) -> Result<u32, Malformed> {
        let mut len = [0; size_of::<u32>()];
        len[size_of::<u32>() - N..].copy_from_slice(&self.array::<N>()?);
        Ok(u32::from_be_bytes(len))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.rest.split_at_checked(len);
        let (taken, rest) = taken.ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}
