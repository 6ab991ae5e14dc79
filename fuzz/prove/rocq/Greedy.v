(* SPDX-License-Identifier: MIT *)

(* Greedy joining loses nothing: "Why greedy joining loses nothing" of
   docs/design.md. *)
Require Import ZArith Lia List.
Import ListNotations.

(* The packets of one flow, between two that keep them apart, in their order. C4 joins
   each to the superpacket of the one before it or to none. So the superpackets are a
   partition of this list into runs. *)
Section Greedy.
Variable Packet : Type.

(* fits l: the packets of l may be one superpacket, by the equation and the limits. *)
Variable fits : list Packet -> bool.
Hypothesis hereditary : forall x y z, fits (x ++ y ++ z) = true -> y <> [] -> fits y = true.

(* greedy run l: each packet of l joins the run if the result fits, and opens another
   otherwise. *)
Fixpoint greedy (run l : list Packet) : list (list Packet) :=
  match l with
  | [] => [run]
  | p :: l => if fits (run ++ [p]) then greedy (run ++ [p]) l else run :: greedy [p] l
  end.

Definition partition (ps : list (list Packet)) (l : list Packet) : Prop :=
  concat ps = l /\ Forall (fun r => r <> [] /\ fits r = true) ps.

(* The other partition has the run o so far, which takes h more, and then ps. Greedy is
   never more than one run behind it, and not behind at all if greedy's last run is the
   end of o. *)
Lemma one_ahead l : forall run o h ps, concat (h :: ps) = l ->
  Forall (fun r => r <> [] /\ fits r = true) ps -> (h <> [] -> fits (o ++ h) = true) ->
  length (greedy run l) <= 2 + length ps /\
  (forall o', o = o' ++ run -> run <> [] -> length (greedy run l) <= 1 + length ps).
Proof.
  induction l as [|p l IH]; intros run o h ps E F Fh; [simpl; split; intros; lia|].
  assert (exists o1 h1 ps1, concat (h1 :: ps1) = l /\
    Forall (fun r => r <> [] /\ fits r = true) ps1 /\ fits (o1 ++ p :: h1) = true /\
    ((ps1 = ps /\ o1 = o) \/ (length ps = S (length ps1) /\ o1 = []))) as
    (o1 & h1 & ps1 & E1 & F1 & Fh1 & Cases).
  { destruct h as [|x h].
    - simpl in E. destruct ps as [|[|x r] ps]; simpl in E; [discriminate|..].
      + inversion F as [|? ? [N _]]. congruence.
      + injection E as -> E. inversion F as [|? ? [_ Fr] F']; subst.
        exists [], r, ps. simpl. split; [auto|]. split; [auto|]. split; [exact Fr|]. right. auto.
    - simpl in E. injection E as -> E. exists o, h, ps.
      specialize (Fh ltac:(discriminate)). split; [exact E|]. auto. }
  assert (Fn : h1 <> [] -> fits ((o1 ++ [p]) ++ h1) = true).
  { intros _. now rewrite <- app_assoc. }
  split; [|intros o' -> Nr]; simpl; destruct (fits (run ++ [p])) eqn:J.
  - pose proof (proj1 (IH (run ++ [p]) _ _ _ E1 F1 Fn)).
    destruct Cases as [[-> _]|[-> _]]; lia.
  - pose proof (proj2 (IH [p] _ _ _ E1 F1 Fn) o1 eq_refl ltac:(discriminate)).
    simpl. destruct Cases as [[-> _]|[-> _]]; lia.
  - destruct Cases as [[-> ->]|[-> ->]].
    + apply (proj2 (IH (run ++ [p]) _ _ _ E1 F1 Fn) o'); [now rewrite app_assoc|].
      destruct run; discriminate.
    + pose proof (proj1 (IH (run ++ [p]) _ _ _ E1 F1 Fn)). lia.
  - destruct Cases as [[-> ->]|[-> ->]].
    + exfalso. rewrite <- app_assoc in Fh1.
      replace (run ++ p :: h1) with ((run ++ [p]) ++ h1) in Fh1 by now rewrite <- app_assoc.
      apply hereditary in Fh1; [congruence|destruct run; discriminate].
    + pose proof (proj2 (IH [p] _ _ _ E1 F1 Fn) [] eq_refl ltac:(discriminate)).
      simpl. lia.
Qed.

(* No partition has fewer superpackets than the greedy one. *)
Theorem greedy_optimal p l ps : partition ps (p :: l) -> length (greedy [p] l) <= length ps.
Proof.
  intros [E F]. destruct ps as [|[|x r] ps]; simpl in E; [discriminate| |].
  - inversion F as [|? ? [N _]]. congruence.
  - injection E as -> E. inversion F as [|? ? [_ Fr] F']; subst.
    apply (proj2 (one_ahead _ [p] [p] r ps eq_refl F' (fun _ => Fr)) [] eq_refl).
    discriminate.
Qed.

(* The greedy partition is one of them. *)
Theorem greedy_partition l : (forall p, fits [p] = true) -> forall run, run <> [] -> fits run = true ->
  partition (greedy run l) (run ++ l).
Proof.
  intros Alone. induction l as [|p l IH]; intros run N F; simpl.
  - split; simpl; [now rewrite app_nil_r|auto].
  - destruct (fits (run ++ [p])) eqn:J.
    + destruct (IH (run ++ [p])) as [E ?]; auto; [destruct run; discriminate|].
      split; auto. rewrite E, <- app_assoc. reflexivity.
    + destruct (IH [p]) as [E ?]; auto; [discriminate|].
      split; simpl; [now rewrite E|]. constructor; auto.
Qed.

(* The same of a whole batch: several such lists, each cut by itself. *)
Theorem batch_optimal (ls : list (Packet * list Packet)) pss :
  Forall2 (fun pl ps => partition ps (fst pl :: snd pl)) ls pss ->
  list_sum (map (fun pl => length (greedy [fst pl] (snd pl))) ls) <= list_sum (map (@length _) pss).
Proof.
  induction 1 as [|[p l] ps ls pss H F IH]; simpl in *; [lia|].
  apply greedy_optimal in H. unfold list_sum in *. simpl. lia.
Qed.
End Greedy.

(* What joins compares, of packets of one flow. Fields that Segment copies are in key. *)
Section Joins.
Variable Key : Type.
Record packet := { key : Key; id : Z; seq : Z; size : Z; flagged : bool }.
Variables most room : Z. (* packets; bytes of payload *)

Open Scope Z_scope.
Definition payload (l : list packet) := fold_right (fun p s => size p + s) 0 l.

(* q may be the packet after p: IDs count modulo 2^16, sequence numbers modulo 2^32,
   FIN and PSH are only on the last. *)
Definition link (p q : packet) : Prop :=
  key p = key q /\ flagged p = false /\ size q <= size p /\
  (id p + 1 - id q) mod 2 ^ 16 = 0 /\ (seq p + size p - seq q) mod 2 ^ 32 = 0.

(* joinable l: l may be one superpacket. *)
Definition joinable (l : list packet) : Prop :=
  (forall x p q z, l = x ++ p :: q :: z -> link p q) /\
  (forall x p q r z, l = x ++ p :: q :: r :: z -> size q = size p) /\
  Z.of_nat (length l) <= most /\ payload l <= room.

Definition sizes (l : list packet) := forall p, In p l -> 1 <= size p.

Lemma payload_app l m : payload (l ++ m) = payload l + payload m.
Proof. induction l; simpl; lia. Qed.

Lemma payload_one p : payload [p] = size p.
Proof. simpl. lia. Qed.

Lemma payload_nonneg l : sizes l -> 0 <= payload l.
Proof.
  unfold sizes. induction l as [|p l IH]; intros H; [simpl; lia|].
  pose proof (H p (or_introl eq_refl)). specialize (IH (fun q Hq => H q (or_intror Hq))). simpl. lia.
Qed.

(* Parts of what is joinable are joinable: the hypothesis of greedy_optimal. *)
Theorem joinable_hereditary x y z : sizes (x ++ y ++ z) -> joinable (x ++ y ++ z) -> joinable y.
Proof.
  intros S (L & T & N & P). repeat split.
  - intros; subst; apply (L (x ++ x0) p q (z0 ++ z)); now rewrite <- !app_assoc.
  - intros; subst; apply (L (x ++ x0) p q (z0 ++ z)); now rewrite <- !app_assoc.
  - intros; subst; apply (L (x ++ x0) p q (z0 ++ z)); now rewrite <- !app_assoc.
  - intros; subst; apply (L (x ++ x0) p q (z0 ++ z)); now rewrite <- !app_assoc.
  - intros; subst; apply (L (x ++ x0) p q (z0 ++ z)); now rewrite <- !app_assoc.
  - intros x0 p q r z0 ->. apply (T (x ++ x0) p q r (z0 ++ z)); now rewrite <- !app_assoc.
  - rewrite !app_length in N. lia.
  - rewrite !payload_app in P.
    assert (0 <= payload x) by (apply payload_nonneg; intros p Hp; apply S; rewrite !in_app_iff; auto).
    assert (0 <= payload z) by (apply payload_nonneg; intros p Hp; apply S; rewrite !in_app_iff; auto).
    lia.
Qed.

(* What offload's run has of the packets h :: m, and what joins asks of one more. *)
Definition sealed h m := flagged (last m h) = true \/ size (last m h) < size h.
Definition takes h m p :=
  Z.of_nat (length (h :: m)) + 1 <= most /\ payload (h :: m) + size p <= room /\
  ~ sealed h m /\ size p <= size h /\ key h = key p /\
  (id h + Z.of_nat (length (h :: m)) - id p) mod 2 ^ 16 = 0 /\
  (seq h + payload (h :: m) - seq p) mod 2 ^ 32 = 0.

Lemma mod_sum k a b : 0 < k -> a mod k = 0 -> (a + b) mod k = 0 <-> b mod k = 0.
Proof. intros K A. rewrite <- Z.add_mod_idemp_l, A by lia. reflexivity. Qed.

Lemma split_last (h : packet) m : exists x, h :: m = x ++ [last m h].
Proof.
  destruct (exists_last (l := h :: m) ltac:(discriminate)) as (x & a & E). exists x.
  rewrite E. f_equal. f_equal. destruct x as [|y x]; injection E as -> ->; [reflexivity|].
  now rewrite last_last.
Qed.

Lemma joinable_front h m t : sizes (h :: m ++ [t]) -> joinable (h :: m ++ [t]) -> joinable (h :: m).
Proof. intros S J. exact (joinable_hereditary [] (h :: m) [t] S J). Qed.

(* Whatever is not last has the first one's size. The last has what counts up. *)
Lemma run_facts h m : sizes (h :: m) -> joinable (h :: m) ->
  key (last m h) = key h /\ size (last m h) <= size h /\
  (id h + Z.of_nat (length m) - id (last m h)) mod 2 ^ 16 = 0 /\
  (seq h + payload (h :: m) - size (last m h) - seq (last m h)) mod 2 ^ 32 = 0 /\
  (forall x p q z, h :: m = x ++ p :: q :: z -> size p = size h).
Proof.
  induction m as [|t m IH] using rev_ind; intros S J.
  - cbn [last payload fold_right length]. repeat split; try lia.
    + replace (id h + Z.of_nat 0 - id h) with 0 by lia. reflexivity.
    + replace (seq h + (size h + 0) - size h - seq h) with 0 by lia. reflexivity.
    + intros [|x0 [|x1 x]] p q z; discriminate.
  - assert (S' : sizes (h :: m)).
    { intros p Hp. apply S. simpl in *. rewrite in_app_iff. tauto. }
    destruct (IH S' (joinable_front h m t S J)) as (K & Hz & Hi & Hq & A).
    rewrite last_last. destruct J as (L & T & _).
    destruct (split_last h m) as (x & E).
    assert (E' : h :: m ++ [t] = x ++ last m h :: t :: []).
    { rewrite app_comm_cons, E, <- app_assoc. reflexivity. }
    destruct (L _ _ _ _ E') as (K' & _ & Hz' & Hi' & Hq').
    assert (Same : size (last m h) = size h).
    { destruct (exists_last (l := h :: m) ltac:(discriminate)) as (y & a & _).
      destruct x as [|p x] using rev_ind; [injection E as <- ->; reflexivity|].
      rewrite <- app_assoc in E, E'. simpl in E, E'.
      rewrite (T _ _ _ _ _ E'). now apply (A x p (last m h) []). }
    repeat split.
    + congruence.
    + lia.
    + rewrite app_length. simpl length.
      replace (id h + Z.of_nat (length m + 1) - id t) with
        ((id h + Z.of_nat (length m) - id (last m h)) + (id (last m h) + 1 - id t))
        by (clear; lia).
      exact (proj2 (mod_sum (2 ^ 16) _ _ eq_refl Hi) Hi').
    + rewrite app_comm_cons, payload_app, payload_one.
      replace (seq h + (payload (h :: m) + size t) - size t - seq t) with
        ((seq h + payload (h :: m) - size (last m h) - seq (last m h)) +
         (seq (last m h) + size (last m h) - seq t)) by lia.
      exact (proj2 (mod_sum (2 ^ 32) _ _ eq_refl Hq) Hq').
    + intros y p q z Ey. destruct z as [|r z] using rev_ind.
      * rewrite app_comm_cons, E in Ey.
        replace (y ++ [p; q]) with ((y ++ [p]) ++ [q]) in Ey by now rewrite <- app_assoc.
        apply app_inj_tail in Ey as [Ey _]. apply app_inj_tail in Ey as [_ <-]. exact Same.
      * replace (y ++ p :: q :: z ++ [r]) with ((y ++ p :: q :: z) ++ [r]) in Ey
          by now rewrite <- app_assoc.
        rewrite app_comm_cons in Ey. apply app_inj_tail in Ey as [Ey _].
        now apply (A y p q z).
Qed.

(* joins is right: a packet may follow if and only if the whole may be one superpacket. *)
Theorem takes_joinable h m p : sizes (h :: m ++ [p]) -> joinable (h :: m) ->
  (takes h m p <-> joinable (h :: m ++ [p])).
Proof.
  intros S J.
  assert (S' : sizes (h :: m)).
  { intros q Hq. apply S. simpl in *. rewrite in_app_iff. tauto. }
  destruct (run_facts h m S' J) as (K & Hz & Hi & Hq & A).
  destruct (split_last h m) as (x & E).
  assert (E' : h :: m ++ [p] = x ++ last m h :: p :: []).
  { rewrite app_comm_cons, E, <- app_assoc. reflexivity. }
  split.
  - intros (N & P & NS & Zp & Kp & Ip & Qp). unfold sealed in NS.
    assert (link (last m h) p).
    { repeat split; [congruence| |lia| |].
      - destruct (flagged (last m h)); [tauto|reflexivity].
      - apply (proj1 (mod_sum (2 ^ 16) _ _ eq_refl Hi)). rewrite <- Ip. f_equal. simpl length. lia.
      - apply (proj1 (mod_sum (2 ^ 32) _ _ eq_refl Hq)). rewrite <- Qp. f_equal. lia. }
    destruct J as (L & T & _). repeat split.
    1-5: destruct z as [|r z] using rev_ind;
      [rewrite E' in H0; replace (x0 ++ [p0; q]) with ((x0 ++ [p0]) ++ [q]) in H0 by (now rewrite <- app_assoc);
       replace (x ++ [last m h; p]) with ((x ++ [last m h]) ++ [p]) in H0 by (now rewrite <- app_assoc);
       apply app_inj_tail in H0 as [H0 <-]; apply app_inj_tail in H0 as [_ <-]; apply H
      |replace (x0 ++ p0 :: q :: z ++ [r]) with ((x0 ++ p0 :: q :: z) ++ [r]) in H0 by (now rewrite <- app_assoc);
       rewrite app_comm_cons in H0; apply app_inj_tail in H0 as [H0 _]; apply (L _ _ _ _ H0)].
    + intros y a b c z Ey. destruct z as [|r z] using rev_ind.
      * rewrite E' in Ey.
        replace (y ++ [a; b; c]) with (((y ++ [a]) ++ [b]) ++ [c]) in Ey by now rewrite <- !app_assoc.
        replace (x ++ [last m h; p]) with ((x ++ [last m h]) ++ [p]) in Ey by now rewrite <- app_assoc.
        apply app_inj_tail in Ey as [Ey _]. apply app_inj_tail in Ey as [Ey <-]. subst x.
        rewrite (A y a (last m h) []) by (rewrite E; now rewrite <- app_assoc). lia.
      * replace (y ++ a :: b :: c :: z ++ [r]) with ((y ++ a :: b :: c :: z) ++ [r]) in Ey
          by now rewrite <- app_assoc.
        rewrite app_comm_cons in Ey. apply app_inj_tail in Ey as [Ey _]. apply (T _ _ _ _ _ Ey).
    + simpl length in *. rewrite app_length. simpl length. lia.
    + rewrite app_comm_cons, payload_app, payload_one. lia.
  - intros J'. pose proof (run_facts h (m ++ [p]) S J') as (Kp & Zp & Ip & Qp & Ap).
    rewrite last_last in *. destruct J' as (L & T & N & P).
    destruct (L _ _ _ _ E') as (_ & F & _). rewrite app_comm_cons, payload_app, payload_one in P, Qp.
    cbn [length] in *. rewrite app_length in *. cbn [length] in *. repeat split.
    + cbn [length]. lia.
    + lia.
    + unfold sealed. rewrite F. intros [?|?]; [discriminate|].
      pose proof (Ap _ _ _ _ E'). lia.
    + exact Zp.
    + now symmetry.
    + rewrite <- Ip. cbn [length]. f_equal. lia.
    + rewrite <- Qp. f_equal. lia.
Qed.
End Joins.

(* MaxOpen is not in the theorem, and must not be: a superpacket closes when maxOpen
   others have been opened, and greedy joining opens some later than another would.
   play counts the superpackets of packets of the given flows. Each packet joins the
   last superpacket of its flow if it wishes to, and if that is open and has fewer than
   most packets. *)
Section MaxOpen.
Variables maxOpen most : nat.
Open Scope nat_scope.
Fixpoint play (flows : list nat) (wishes : list bool) (supers : list (nat * nat * nat)) (opened : nat) : nat :=
  match flows, wishes with
  | f :: flows, w :: wishes =>
      match find (fun s => Nat.eqb (fst (fst s)) f) supers with
      | Some (_, n, ordinal) =>
          if (w && (opened - ordinal <? maxOpen) && (n <? most))%bool
          then play flows wishes ((f, S n, ordinal) :: supers) opened
          else play flows wishes ((f, 1, S opened) :: supers) (S opened)
      | None => play flows wishes ((f, 1, S opened) :: supers) (S opened)
      end
  | _, _ => opened
  end.
End MaxOpen.

Example max_open_matters :
  play 2 2 [0; 0; 1; 0; 2; 1] [true; true; true; true; true; true] [] 0 = 5%nat /\
  play 2 2 [0; 0; 1; 0; 2; 1] [true; false; true; true; true; true] [] 0 = 4%nat.
Proof. split; reflexivity. Qed.

(* Without it they differ by nothing: the limit of two packets alone. *)
Example max_open_alone :
  play 9 2 [0; 0; 1; 0; 2; 1] [true; true; true; true; true; true] [] 0 = 4%nat.
Proof. reflexivity. Qed.
