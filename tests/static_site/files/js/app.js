import { name } from "./name.js";
document.title = name;
//# sourceMappingURL=app.js.map
