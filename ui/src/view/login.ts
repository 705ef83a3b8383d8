// The dialog that asks for name and password where the store wants them. It opens by itself when an answer asks for them, and
// says when they were wrong. Signing out takes away what was shown and what was typed: the page begins anew.

import { signedIn, signIn, signOut, whenRefused } from '../api/session';
import { save } from '../keep/storage';
import { need } from './dom';

export class Login {
  private readonly dialog = need('login-dialog', HTMLDialogElement);
  private readonly form = need('login-form', HTMLFormElement);
  private readonly user = need('login-user', HTMLInputElement);
  private readonly password = need('login-password', HTMLInputElement);
  private readonly said = need('login-said', HTMLElement);
  private readonly leave = need('logout', HTMLButtonElement);

  /** `retry` asks again for what was refused. */
  constructor(retry: () => void) {
    whenRefused(() => this.ask());
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      signIn(this.user.value, this.password.value);
      // Nothing else in the page holds it.
      this.password.value = '';
      this.said.textContent = '';
      this.dialog.close();
      this.show();
      retry();
    });
    this.leave.addEventListener('click', () => {
      signOut();
      save('history', null);
      // Forgets results, names and all else that scripts hold.
      location.replace(location.pathname);
      location.reload();
    });
    this.show();
  }

  private ask(): void {
    if (this.dialog.open) return;
    const user = signedIn();
    this.said.textContent = user === undefined ? '' : 'This name or password is wrong.';
    this.user.value = user ?? this.user.value;
    signOut();
    this.show();
    // Over a dialog that waits for an answer, too.
    this.dialog.showModal();
    (this.user.value === '' ? this.user : this.password).focus();
  }

  private show(): void {
    const user = signedIn();
    this.leave.hidden = user === undefined;
    this.leave.textContent = `Sign out ${user ?? ''}`.trim();
  }
}
