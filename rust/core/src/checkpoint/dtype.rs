//! The dtypes that safetensors names, and which of them take part in arithmetic.

use std::fmt;

/// What kind of number a [`Dtype`] stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DtypeClass {
    /// A floating-point format that is decoded to real numbers.
    Float,
    /// A signed or unsigned integer.
    Integer,
    /// Anything without arithmetic here: booleans, packed formats, complex numbers.
    Other,
}

/// Defines [`Dtype`] from one table, so that a new dtype is one new line.
macro_rules! dtypes {
    ($($variant:ident $name:literal $bits:literal $class:ident $doc:literal;)*) => {
        /// The dtype of a tensor, as a safetensors header names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Dtype {
            $(#[doc = $doc] $variant,)*
        }

        impl Dtype {
            /// Every dtype, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in a safetensors header.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The dtype with this name in a safetensors header; names are case-sensitive.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// Bits of one element. Below 8 for packed formats.
            pub const fn bits(self) -> u64 {
                match self { $(Self::$variant => $bits),* }
            }

            /// What kind of number an element is.
            pub const fn class(self) -> DtypeClass {
                match self { $(Self::$variant => DtypeClass::$class),* }
            }
        }
    };
}

dtypes! {
    Bool "BOOL" 8 Other "One byte, 0 or 1.";
    F4 "F4" 4 Other "OCP MXFP4, two elements in a byte.";
    F6E2m3 "F6_E2M3" 6 Other "OCP MXFP6 with 2 exponent bits, four elements in three bytes.";
    F6E3m2 "F6_E3M2" 6 Other "OCP MXFP6 with 3 exponent bits, four elements in three bytes.";
    U8 "U8" 8 Integer "Unsigned 8-bit integer.";
    I8 "I8" 8 Integer "Signed 8-bit integer.";
    F8E5m2 "F8_E5M2" 8 Float "OCP float8 with 5 exponent bits; has infinities.";
    F8E4m3 "F8_E4M3" 8 Float "OCP float8 with 4 exponent bits; has no infinity.";
    F8E8m0 "F8_E8M0" 8 Float "OCP MX scale: a power of two.";
    F8E4m3Fnuz "F8_E4M3FNUZ" 8 Other "float8 with 4 exponent bits, no infinity, no negative zero.";
    F8E5m2Fnuz "F8_E5M2FNUZ" 8 Other "float8 with 5 exponent bits, no infinity, no negative zero.";
    I16 "I16" 16 Integer "Signed 16-bit integer.";
    U16 "U16" 16 Integer "Unsigned 16-bit integer.";
    F16 "F16" 16 Float "IEEE 754 binary16.";
    Bf16 "BF16" 16 Float "The upper half of an IEEE 754 binary32.";
    I32 "I32" 32 Integer "Signed 32-bit integer.";
    U32 "U32" 32 Integer "Unsigned 32-bit integer.";
    F32 "F32" 32 Float "IEEE 754 binary32.";
    C64 "C64" 64 Other "Complex number of two binary32.";
    F64 "F64" 64 Float "IEEE 754 binary64.";
    I64 "I64" 64 Integer "Signed 64-bit integer.";
    U64 "U64" 64 Integer "Unsigned 64-bit integer.";
}

impl Dtype {
    /// Whether elements are decoded to real numbers and take part in arithmetic.
    ///
    /// A tensor of any other dtype is an error where arithmetic is asked for, never skipped.
    pub const fn is_numeric(self) -> bool {
        !matches!(self.class(), DtypeClass::Other)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_distinct() {
        for (at, &dtype) in Dtype::ALL.iter().enumerate() {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
            assert!(Dtype::ALL[..at].iter().all(|earlier| earlier.name() != dtype.name()));
        }
        assert_eq!(Dtype::ALL.len(), 22);
    }

    #[test]
    fn unknown_and_lower_case_names_are_refused() {
        for name in ["", "f32", "F128", "F32 ", "bf16"] {
            assert_eq!(Dtype::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn bits_follow_the_digits_of_the_name() {
        for &dtype in Dtype::ALL {
            let digits: String = dtype.name().chars().skip_while(|c| !c.is_ascii_digit()).collect();
            let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
            let expected = if dtype == Dtype::Bool { 8 } else { digits.parse().unwrap() };
            assert_eq!(dtype.bits(), expected, "{dtype}");
        }
    }

    #[test]
    fn the_numeric_dtypes_are_exactly_these() {
        let numeric: Vec<_> =
            Dtype::ALL.iter().filter(|d| d.is_numeric()).map(|d| d.name()).collect();
        assert_eq!(
            numeric,
            [
                "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16", "U16", "F16", "BF16", "I32",
                "U32", "F32", "F64", "I64", "U64"
            ]
        );
    }

    #[test]
    fn display_is_the_name_and_honours_width() {
        assert_eq!(format!("{:>5}|{}", Dtype::F16, Dtype::F8E4m3), "  F16|F8_E4M3");
    }
}
