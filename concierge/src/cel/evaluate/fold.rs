//! Macros at work: over the elements of a list or the keys of a map.

use super::{Evaluation, absorb};
use crate::cel::{
    EvaluationError, Map, Value,
    library::sort_pairs,
    map::Keys,
    program::{Fold, Gather},
};

impl Evaluation<'_> {
    pub(super) fn fold(&mut self, fold: &Fold) -> Result<Value, EvaluationError> {
        let range = self.evaluate(&fold.range)?;
        let outside = self.locals.len();
        let result = match &range {
            Value::List(list) => {
                let elements = list.iter().enumerate().map(|(place, element)| {
                    if fold.pair {
                        (Value::Int(i64::try_from(place).unwrap_or(i64::MAX)), Some(element))
                    } else {
                        (element.clone(), None)
                    }
                });
                self.gather(fold, elements)
            }
            Value::Map(map) if map.keys() != Keys::Root => {
                self.gather(fold, map.iter().map(|(key, value)| (key.clone(), fold.pair.then_some(value))))
            }
            _ => Err(EvaluationError::NoSuchOverload("a macro's range")),
        };
        self.locals.truncate(outside);
        result
    }

    fn gather<'a>(
        &mut self,
        fold: &Fold,
        elements: impl ExactSizeIterator<Item = (Value, Option<&'a Value>)>,
    ) -> Result<Value, EvaluationError> {
        match fold.gather {
            Gather::All => self.quantify(fold, elements, false),
            Gather::Exists => self.quantify(fold, elements, true),
            Gather::ExistsOne => {
                let mut count = 0_usize;
                self.each(fold, elements, &mut |this, _| {
                    count += usize::from(this.truth(&fold.body)?);
                    Ok(())
                })?;
                Ok(Value::Bool(count == 1))
            }
            Gather::Filter => {
                let mut kept = Vec::new();
                self.each(fold, elements, &mut |this, first| {
                    if this.truth(&fold.body)? {
                        this.budget.build_elements(1)?;
                        kept.push(first.clone());
                    }
                    Ok(())
                })?;
                Ok(kept.into())
            }
            Gather::List => {
                let mut list = Vec::new();
                self.each(fold, elements, &mut |this, _| {
                    let value = this.evaluate(&fold.body)?;
                    this.budget.build_elements(1)?;
                    list.push(value);
                    Ok(())
                })?;
                Ok(list.into())
            }
            Gather::Values | Gather::Entries => {
                let mut map = Vec::new();
                self.each(fold, elements, &mut |this, first| {
                    let value = this.evaluate(&fold.body)?;
                    if fold.gather == Gather::Values {
                        this.budget.build_elements(2)?;
                        return this.insert(&mut map, first.clone(), value);
                    }
                    let Value::Map(entries) = value else {
                        return Err(EvaluationError::NoSuchOverload("`transformMapEntry`"));
                    };
                    this.budget.build_elements(entries.len().saturating_mul(2))?;
                    for (key, value) in entries.iter() {
                        this.insert(&mut map, key.clone(), value.clone())?;
                    }
                    Ok(())
                })?;
                Ok(Value::Map(map.into_iter().collect::<Map>().into()))
            }
            Gather::Sort => {
                let mut keyed = Vec::new();
                self.each(fold, elements, &mut |this, first| {
                    let key = this.evaluate(&fold.body)?;
                    this.budget.build_elements(2)?;
                    keyed.push((key, first.clone()));
                    Ok(())
                })?;
                sort_pairs(&mut keyed, self.budget)?;
                self.budget.build_elements(keyed.len())?;
                Ok(keyed.into_iter().map(|(_, element)| element).collect::<Vec<_>>().into())
            }
        }
    }

    /// Does `step` for each element that the filter lets pass, with the macro's variables in place.
    fn each<'a>(
        &mut self,
        fold: &Fold,
        elements: impl Iterator<Item = (Value, Option<&'a Value>)>,
        step: &mut dyn FnMut(&mut Self, &Value) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let outside = self.locals.len();
        for (first, second) in elements {
            self.bind(outside, &first, second)?;
            let passes = match &fold.filter {
                Some(filter) => self.truth(filter)?,
                None => true,
            };
            if passes {
                step(self, &first)?;
            }
        }
        Ok(())
    }

    fn bind(&mut self, outside: usize, first: &Value, second: Option<&Value>) -> Result<(), EvaluationError> {
        self.budget.spend(1)?;
        self.locals.truncate(outside);
        self.locals.push(first.clone());
        self.locals.extend(second.cloned());
        Ok(())
    }

    /// `all` or `exists`: like a chain of `&&` or `||`, so one decisive element outweighs errors at others.
    fn quantify<'a>(
        &mut self,
        fold: &Fold,
        elements: impl Iterator<Item = (Value, Option<&'a Value>)>,
        decisive: bool,
    ) -> Result<Value, EvaluationError> {
        let outside = self.locals.len();
        let mut outcome = Ok(Value::Bool(!decisive));
        for (first, second) in elements {
            self.bind(outside, &first, second)?;
            match self.truth(&fold.body) {
                Ok(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(error) => absorb(&mut outcome, error)?,
            }
        }
        outcome
    }
}
