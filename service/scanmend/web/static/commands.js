// An operator's word to the microscope, over the API.
export async function command(token, session, action) {
  try {
    const response = await fetch(`/api/v1/sessions/${encodeURIComponent(session)}/${action}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: "{}",
    });
    if (response.ok) return "";
    const problem = await response.json();
    return `${problem.detail} ${problem.mend}`;
  } catch {
    return "The command did not reach the service. Use the microscope’s own controls.";
  }
}

let timer = 0;

export function toast(text) {
  const element = document.getElementById("toast");
  element.textContent = text;
  element.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => element.classList.remove("shown"), 5000);
}
