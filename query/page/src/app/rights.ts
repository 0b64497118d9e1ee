// What who is logged in may do; asked for once by the views that offer changes.
import { effect, signal } from "@preact/signals";
import { call } from "../api/client";
import type { Account } from "../api/contract";
import { user } from "./user";

const account = signal<Account | null>(null);
let asked: unknown = null;

effect(() => {
  if (!user.value) asked = account.value = null; // another may log in
});

/** Whether the user may change things of this team; false until it is known. */
export function mayWrite(team: string): boolean {
  if (user.value && asked !== user.value) {
    asked = user.value;
    call("GetAccount", {}).then(
      (found) => (account.value = found),
      () => (asked = null), // the next view asks again; without an answer nothing is offered
    );
  }
  return account.value?.teams.some((one) => one.team === team && one.role !== "viewer") ?? false;
}
