//! Compares x86-64 code of two images, instruction by instruction: addresses in operands by what they name, all else by bytes.

use crate::arch;
use crate::arch::x86_64::decode;
use crate::content::{Contents, Stretch};
use crate::fixups::{self, Meaning};
use crate::image::Image;
use crate::symbolic::Symbolic;
use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};

/// What an instruction does, where linkers may choose between forms (psABI B.2).
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    /// Loads a register with an address that is known at load time.
    Load(Register, Meaning),
    /// Calls a function.
    Call(Meaning),
    /// Jumps to a function.
    Jump(Meaning),
    /// Anything else.
    Other,
}

impl Contents<'_, '_, '_> {
    /// Compares code; on machines without a decoder, nothing can be said.
    pub(crate) fn code(&mut self, stretch: Stretch<'_>) {
        if !arch::has_decoder(self.reference.image.file.machine) {
            let found = "no decoder for this CPU: give the inputs".to_string();
            return self.differ(stretch, 0, "code".into(), found);
        }
        let (left, right) = (self.reference.image, self.ours.image);
        let bytes = (left.read(stretch.reference, stretch.size), right.read(stretch.ours, stretch.size));
        let (Some(left), Some(right)) = bytes else {
            return self.differ(stretch, 0, "code in the file".into(), "outside".into());
        };
        let mut at = 0usize;
        while at < left.len() {
            let one = decode(&left[at..], stretch.reference + at as u64);
            let two = decode(&right[at..], stretch.ours + at as u64);
            let (Some(one), Some(two)) = (one, two) else {
                // Data between functions, or padding: the same bytes or nothing known.
                if left[at..] != right[at..] {
                    self.differ(stretch, at as u64, "an instruction".into(), "bytes that are none".into());
                }
                return;
            };
            let effects = (effect(self.reference, &one.0), effect(self.ours, &two.0));
            let (length, same) = self.instruction(stretch, (&left[at..], &one), (&right[at..], &two), effects);
            if !same {
                let (a, b) = (describe(self.reference, &one.0, effects.0), describe(self.ours, &two.0, effects.1));
                let show = |bytes: &[u8], length: usize| crate::check::hex(bytes, length);
                let a = format!("{a} [{}]", show(&left[at..], one.0.len()));
                let b = format!("{b} [{}]", show(&right[at..], two.0.len()));
                self.differ(stretch, at as u64, a, b);
                if length == 0 {
                    return;
                }
            }
            at += length;
            let ends = [
                FlowControl::Return,
                FlowControl::UnconditionalBranch,
                FlowControl::IndirectBranch,
                FlowControl::Exception,
            ];
            let padded = || is_padding(&left[at..]) || is_padding(&right[at..]);
            if stretch.open && ends.contains(&one.0.flow_control()) && padded() {
                return;
            }
        }
    }

    /// The bytes that both instructions take, and whether they mean the same; 0 bytes if they take different numbers.
    fn instruction(
        &mut self,
        stretch: Stretch<'_>,
        (left, one): (&[u8], &(Instruction, iced_x86::ConstantOffsets)),
        (right, two): (&[u8], &(Instruction, iced_x86::ConstantOffsets)),
        effects: (Effect, Effect),
    ) -> (usize, bool) {
        // A relaxed jump is shorter by one byte, which becomes a nop.
        let (first, second) = (one.0.len(), two.0.len());
        let (first, second) = match first.cmp(&second) {
            std::cmp::Ordering::Less => (first + usize::from(left.get(first) == Some(&0x90)), second),
            std::cmp::Ordering::Greater => (first, second + usize::from(right.get(second) == Some(&0x90))),
            std::cmp::Ordering::Equal => (first, second),
        };
        if first != second {
            return (0, false);
        }
        let same_form = one.0.code() == two.0.code() && one.0.len() == two.0.len();
        let same = match effects {
            (Effect::Load(a, x), Effect::Load(b, y)) => a == b && self.same_meaning(x, y),
            (Effect::Call(x), Effect::Call(y)) | (Effect::Jump(x), Effect::Jump(y)) => self.same_target(stretch, x, y),
            (Effect::Other, Effect::Other) if same_form => self.same_operands(stretch, (left, one), (right, two)),
            _ => false,
        };
        (first, same)
    }

    /// Branches inside the function keep their distance from its start.
    fn same_target(&mut self, stretch: Stretch<'_>, reference: Meaning, ours: Meaning) -> bool {
        if let (Meaning::Address(a), Meaning::Address(b)) = (reference, ours) {
            let (a, b) = (a.wrapping_sub(stretch.reference), b.wrapping_sub(stretch.ours));
            if a < stretch.size || b < stretch.size {
                return a == b;
            }
        }
        self.same_meaning(reference, ours)
    }

    /// Same opcode: everything but displacements and immediates must be the same bytes, and those the same bytes or meaning.
    fn same_operands(
        &mut self,
        stretch: Stretch<'_>,
        (left, one): (&[u8], &(Instruction, iced_x86::ConstantOffsets)),
        (right, two): (&[u8], &(Instruction, iced_x86::ConstantOffsets)),
    ) -> bool {
        let length = one.0.len();
        let (left, right) = (&left[..length], &right[..length]);
        let constants = [
            (one.1.displacement_offset(), one.1.displacement_size()),
            (one.1.immediate_offset(), one.1.immediate_size()),
        ];
        let in_constant = |index: usize| constants.iter().any(|(start, size)| (*start..start + size).contains(&index));
        if (0..length).any(|index| left[index] != right[index] && !in_constant(index)) {
            return false;
        }
        if is_near_branch(&one.0) {
            let (a, b) = (one.0.near_branch_target(), two.0.near_branch_target());
            return self.same_target(stretch, Meaning::Address(a), Meaning::Address(b));
        }
        if one.0.is_ip_rel_memory_operand() {
            let (a, b) = (one.0.ip_rel_memory_address(), two.0.ip_rel_memory_address());
            if !self.same_place(a, b) {
                return false;
            }
        } else if !self.same_constant(stretch, constants[0], left, right) {
            return false;
        }
        self.same_constant(stretch, constants[1], left, right)
    }

    /// A constant that differs must be a distance from the GOT (medium code model), the GOT's distance from a place in the
    /// function (large code model), or a thread-local offset.
    fn same_constant(
        &mut self,
        stretch: Stretch<'_>,
        (start, size): (usize, usize),
        left: &[u8],
        right: &[u8],
    ) -> bool {
        let (a, b) = (&left[start..start + size], &right[start..start + size]);
        if a == b {
            return true;
        }
        let (a, b) = (self.reference.image.file.signed(a), self.ours.image.file.signed(b));
        if size == 8 {
            let bases = (self.reference.image.got_base(), self.ours.image.got_base());
            if let (Some(left), Some(right)) = bases {
                // Where in the function the distance to the GOT counts from.
                let from = left.wrapping_sub(stretch.reference).wrapping_add_signed(a.wrapping_neg());
                if from < stretch.size && from == right.wrapping_sub(stretch.ours).wrapping_add_signed(b.wrapping_neg())
                {
                    return true;
                }
                let places = (left.wrapping_add_signed(a), right.wrapping_add_signed(b));
                let inside = self.reference.image.section_at(places.0).is_some();
                return inside && self.same_place(places.0, places.1);
            }
        }
        size == 4 && self.same_thread_place(a, b)
    }
}

/// Whether code begins with what linkers and assemblers put between functions: int3, nop in all its lengths, zeros.
fn is_padding(code: &[u8]) -> bool {
    matches!(code, [] | [0xcc | 0x90, ..] | [0, 0, ..] | [0x0f, 0x1f, ..] | [0x66, ..])
}

fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

fn effect(symbolic: &Symbolic<'_, '_>, instruction: &Instruction) -> Effect {
    let image = symbolic.image;
    let through_slot = || {
        let slot = instruction.is_ip_rel_memory_operand().then(|| instruction.ip_rel_memory_address())?;
        slot_meaning(image, slot)
    };
    let direct = || {
        let target = instruction.near_branch_target();
        symbolic.plt_entry(target).unwrap_or(Meaning::Address(target))
    };
    let register = instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Mov if instruction.code() == Code::Mov_r64_rm64 => {
            through_slot().map_or(Effect::Other, |to| Effect::Load(register, to))
        }
        Mnemonic::Lea if instruction.is_ip_rel_memory_operand() && instruction.code() == Code::Lea_r64_m => {
            Effect::Load(register, Meaning::Address(instruction.ip_rel_memory_address()))
        }
        Mnemonic::Call if is_near_branch(instruction) => Effect::Call(direct()),
        Mnemonic::Jmp if is_near_branch(instruction) => Effect::Jump(direct()),
        Mnemonic::Call => through_slot().map_or(Effect::Other, Effect::Call),
        Mnemonic::Jmp => through_slot().map_or(Effect::Other, Effect::Jump),
        _ => Effect::Other,
    }
}

/// The address that a slot of the GOT holds; `None` for other words and for slots that hold something else.
fn slot_meaning(image: &Image<'_>, slot: u64) -> Option<Meaning> {
    if !image.section_at(slot)?.name.starts_with(".got") {
        return None;
    }
    match fixups::word_at(image, slot)? {
        meaning @ (Meaning::Address(_) | Meaning::Dynamic(..) | Meaning::Resolved(_)) => Some(meaning),
        _ => None,
    }
}

fn describe(symbolic: &Symbolic<'_, '_>, instruction: &Instruction, effect: Effect) -> String {
    match effect {
        Effect::Load(register, meaning) => format!("{register:?} = address of {}", symbolic.describe_meaning(meaning)),
        Effect::Call(meaning) => format!("call {}", symbolic.describe_meaning(meaning)),
        Effect::Jump(meaning) => format!("jump to {}", symbolic.describe_meaning(meaning)),
        Effect::Other if instruction.is_ip_rel_memory_operand() => {
            format!("{:?} at {}", instruction.code(), symbolic.describe(instruction.ip_rel_memory_address()))
        }
        Effect::Other if is_near_branch(instruction) => {
            format!("{:?} to {}", instruction.code(), symbolic.describe(instruction.near_branch_target()))
        }
        Effect::Other => format!("{:?}", instruction.code()),
    }
}
