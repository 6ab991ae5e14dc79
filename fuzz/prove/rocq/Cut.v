(* SPDX-License-Identifier: MIT *)

(* Where Segment cuts: rule S1 of docs/rules.md. A payload is cut into packets of one
   size, and what is left. *)
Require Import Arith Lia List.
Import ListNotations.

(* The sizes of the packets that total bytes are cut into. *)
Definition cut (size total : nat) : list nat :=
  repeat size ((total - 1) / size) ++ [total - size * ((total - 1) / size)].

Definition sum (l : list nat) := fold_right Nat.add 0 l.

Lemma sum_repeat s n l : sum (repeat s n ++ l) = s * n + sum l.
Proof. induction n; simpl; lia. Qed.

(* What joined comes back with the same boundaries if and only if all packets but the
   last have the size of the cut, and the last has at least a byte and no more. *)
Theorem boundaries size l last : 1 <= size -> 1 <= last -> Forall (fun n => 1 <= n) l ->
  (cut size (sum (l ++ [last])) = l ++ [last] <->
   Forall (fun n => n = size) l /\ last <= size).
Proof.
  intros Hs Hl F. unfold cut. split.
  - intros E. apply app_inj_tail in E as [E L].
    set (t := sum (l ++ [last])) in *.
    pose proof (Nat.div_mod (t - 1) size ltac:(lia)).
    pose proof (Nat.mod_upper_bound (t - 1) size ltac:(lia)). split.
    + apply Forall_forall. intros n Hn. rewrite <- E in Hn. now apply repeat_spec in Hn.
    + rewrite <- L. nia.
  - intros [A L].
    assert (exists k, l = repeat size k) as [k ->].
    { clear - A. induction A as [|n l -> _ [k ->]]; [now exists 0|now exists (S k)]. }
    rewrite sum_repeat. simpl sum.
    replace ((size * k + (last + 0) - 1) / size) with k.
    + f_equal. f_equal. lia.
    + apply (Nat.div_unique _ _ _ (last - 1)); lia.
Qed.

(* The count is Segment's: the quotient rounded up. *)
Theorem count size total : 1 <= size -> 1 <= total ->
  length (cut size total) = (total + size - 1) / size.
Proof.
  intros Hs Ht. unfold cut. rewrite app_length, repeat_length. simpl.
  replace (total + size - 1) with (total - 1 + 1 * size) by lia.
  rewrite Nat.div_add by lia. lia.
Qed.
