//! Which type fits which: cel-go's assignability with type variables, so that what compiles there compiles here.

use std::cell::Cell;

use crate::cel::Type;

/// Parts of types that are looked at while one expression is checked, before the checker gives up. The dearest rules of
/// 4 KiB need a quarter of it. Without it variables that stand for one another (`a == {b: b} && b == {c: c} && ...`) would
/// double the work and the memory with each.
const MAX_STEPS: u32 = 200_000;

/// What the type variables stand for so far.
pub(super) struct Bindings {
    bound: Vec<Option<Type>>,
    /// What each change overwrote, so that a failed attempt is taken back.
    trail: Vec<(usize, Option<Type>)>,
    /// What is left of [`MAX_STEPS`].
    steps: Cell<u32>,
}

impl Default for Bindings {
    fn default() -> Self {
        Self { bound: Vec::new(), trail: Vec::new(), steps: Cell::new(MAX_STEPS) }
    }
}

impl Bindings {
    /// Whether the types were too intricate to follow. Then no answer given since is one: the expression is refused.
    pub(super) fn gave_up(&self) -> bool {
        self.steps.get() == 0
    }

    /// Takes one step, if there is one left.
    fn step(&self) -> bool {
        self.steps.set(self.steps.get().saturating_sub(1));
        !self.gave_up()
    }

    /// A type variable that stands for nothing yet.
    pub(super) fn fresh(&mut self) -> Type {
        self.bound.push(None);
        Type::Variable(u32::try_from(self.bound.len() - 1).unwrap_or(u32::MAX))
    }

    /// Whether a value of type `from` can be where `to` is wanted; if so, variables are bound to make it true.
    pub(super) fn assign(&mut self, from: &Type, to: &Type) -> bool {
        self.assign_all(&[from], &[to])
    }

    /// As [`Bindings::assign`] for each pair: all, or nothing is bound.
    pub(super) fn assign_all(&mut self, from: &[&Type], to: &[&Type]) -> bool {
        let mark = self.trail.len();
        let fits = from.len() == to.len() && from.iter().zip(to).all(|(from, to)| self.fits(from, to));
        if !fits {
            while self.trail.len() > mark {
                if let Some((variable, before)) = self.trail.pop() {
                    self.bound[variable] = before;
                }
            }
        }
        fits
    }

    /// `kind` with each bound variable replaced; with `whole`, unbound ones become `dyn`.
    pub(super) fn substitute(&self, kind: &Type, whole: bool) -> Type {
        if !self.step() {
            return Type::Dyn;
        }
        match (self.find(kind), kind) {
            (Some(bound), _) => self.substitute(bound, whole),
            (None, Type::Variable(_)) if whole => Type::Dyn,
            (None, _) => kind.with_parts(&mut |part| self.substitute(part, whole)),
        }
    }

    fn find(&self, kind: &Type) -> Option<&Type> {
        match kind {
            Type::Variable(number) => self.bound.get(*number as usize)?.as_ref(),
            _ => None,
        }
    }

    fn bind(&mut self, variable: &Type, kind: Type) {
        if let Type::Variable(number) = variable {
            let slot = *number as usize;
            let before = self.bound[slot].replace(kind);
            self.trail.push((slot, before));
        }
    }

    fn fits(&mut self, from: &Type, to: &Type) -> bool {
        if !self.step() {
            return false;
        }
        if matches!(to, Type::Variable(_)) {
            match self.stands_for(from, to) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if matches!(from, Type::Variable(_)) {
            return self.stands_for(to, from).0;
        }
        if from.is_dynamic() || to.is_dynamic() {
            return true;
        }
        match (from, to) {
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(from), Type::List(to)) | (Type::Optional(from), Type::Optional(to)) => self.fits(from, to),
            (Type::Map(from_key, from_value), Type::Map(to_key, to_value)) => {
                self.fits(from_key, to_key) && self.fits(from_value, to_value)
            }
            _ => from == to,
        }
    }

    /// Whether `variable` can stand for `kind`, and whether it stood for something before.
    fn stands_for(&mut self, kind: &Type, variable: &Type) -> (bool, bool) {
        if kind == variable {
            return (true, true);
        }
        if let Some(bound) = self.find(variable).cloned() {
            if *kind == bound {
                return (true, true);
            }
            if self.fits(kind, &bound) {
                let general = most_general(kind, &bound).clone();
                if self.is_apart(variable, &general) {
                    self.bind(variable, general);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.is_apart(variable, kind) {
            self.bind(variable, kind.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether `variable` does not occur in `kind`: a type cannot hold itself.
    fn is_apart(&self, variable: &Type, kind: &Type) -> bool {
        if variable == kind || !self.step() {
            return false;
        }
        match self.find(kind) {
            Some(bound) => self.is_apart(variable, bound),
            None => kind.parts().all(|part| self.is_apart(variable, part)),
        }
    }
}

/// The less specific of two types that fit each other.
pub(super) fn most_general<'a>(left: &'a Type, right: &'a Type) -> &'a Type {
    if covers(left, right) { left } else { right }
}

fn covers(left: &Type, right: &Type) -> bool {
    let open = |kind: &Type| kind.is_dynamic() || matches!(kind, Type::Variable(_));
    if open(left) {
        return true;
    }
    if open(right) {
        return false;
    }
    match (left, right) {
        (Type::Type(_), Type::Type(_)) => true,
        (Type::List(left), Type::List(right)) | (Type::Optional(left), Type::Optional(right)) => covers(left, right),
        (Type::Map(left_key, left_value), Type::Map(right_key, right_value)) => {
            covers(left_key, right_key) && covers(left_value, right_value)
        }
        _ => left == right,
    }
}

/// Types whose place null may take (cel-go's legacy null assignment).
fn nullable(kind: &Type) -> bool {
    matches!(
        kind,
        Type::Null | Type::Optional(_) | Type::Opaque(_) | Type::Object(_) | Type::Duration | Type::Timestamp
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_becomes_what_it_meets_and_widens_to_dyn() {
        let mut bindings = Bindings::default();
        let variable = bindings.fresh();
        assert!(bindings.assign(&Type::Int, &variable));
        assert!(!bindings.assign(&Type::String, &variable));
        assert_eq!(bindings.substitute(&variable, true), Type::Int);
        assert!(bindings.assign(&Type::Any, &variable));
        assert_eq!(bindings.substitute(&Type::list(variable), true), Type::list(Type::Any));
    }

    #[test]
    fn a_failed_attempt_leaves_nothing_behind() {
        let mut bindings = Bindings::default();
        let (one, two) = (bindings.fresh(), bindings.fresh());
        assert!(!bindings.assign_all(&[&Type::Int, &Type::Int], &[&one, &Type::String]));
        assert!(bindings.assign(&Type::String, &one));
        assert_eq!(bindings.substitute(&one, true), Type::String);
        assert_eq!(bindings.substitute(&two, true), Type::Dyn);
    }

    #[test]
    fn a_type_does_not_hold_itself() {
        let mut bindings = Bindings::default();
        let variable = bindings.fresh();
        assert!(!bindings.assign(&Type::list(variable.clone()), &variable));
        let other = bindings.fresh();
        assert!(bindings.assign(&variable, &other));
        assert!(!bindings.assign(&Type::list(other), &variable));
    }

    #[test]
    fn null_takes_the_place_of_objects_only() {
        let mut bindings = Bindings::default();
        for kind in [Type::Null, Type::Duration, Type::optional(Type::Int), Type::Opaque("net.IP"), Type::Any] {
            assert!(bindings.assign(&Type::Null, &kind), "{kind}");
        }
        for kind in [Type::String, Type::Bool, Type::list(Type::Dyn), Type::map(Type::Dyn, Type::Dyn)] {
            assert!(!bindings.assign(&Type::Null, &kind), "{kind}");
        }
    }
}
