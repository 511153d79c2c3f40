// ROWS x COLUMNS processing elements in which results stay: operands enter on the left and at the top; results leave at
// the bottom, on the right, or from everywhere at once (LANES of them in a clock). The edges are skewed: row r and
// column c are ROW_STEP * r + COLUMN_STEP * c clocks behind row 0 and column 0.
module sa_array_result_stays #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int OTHER_BITS = 8,
    parameter bit OTHER_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,
    parameter int SUM_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit EXACT = 1'b0,
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter int SHIFT_OUT = 1,
    parameter bit PRELOAD = 1'b0,
    parameter int ROW_STEP = 1,
    parameter int COLUMN_STEP = 1,
    parameter int MULTIPLIER_LATENCY = 0,
    parameter int ACCUMULATE_LATENCY = 0,
    parameter int COUNT_BITS = 16,
    localparam int LANES = SHIFT_OUT == 0 ? ROWS * COLUMNS : SHIFT_OUT == 1 ? COLUMNS : ROWS
) (
    input  wire                           clk,
    input  wire                           reset,
    input  wire [   ROWS*MOVING_BITS-1:0] moving,
    input  wire [             3*ROWS-1:0] control,
    input  wire [ COLUMNS*OTHER_BITS-1:0] other,
    input  wire [   COLUMNS*SUM_BITS-1:0] initial_sums,
    input  wire [          2*COLUMNS-1:0] load,
    input  wire                           shift,
    output logic [    LANES*SUM_BITS-1:0] results,
    output logic [        COUNT_BITS-1:0] overflows   // additions two clocks ago that did not fit
);
    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            wire [COLUMNS-1:0] overflow;
            wire [COUNT_BITS-1:0] overflows_here, overflows_above;
            if (EXACT) begin : g_none
                wire unused_overflow = |overflow;
                assign overflows_here = '0;
            end else begin : g_count
                assign overflows_here = COUNT_BITS'($countones(overflow));
            end
            if (r == 0) begin : g_first
                assign overflows_above = '0;
            end else begin : g_next
                assign overflows_above = g_row[r-1].overflows_so_far;
            end
            wire [COUNT_BITS-1:0] overflows_so_far = overflows_above + overflows_here;
            for (c = 0; c < COLUMNS; c = c + 1) begin : g_column
                wire [MOVING_BITS-1:0] moving_in, moving_out;
                wire [2:0] control_in, control_out;
                wire [OTHER_BITS-1:0] other_in, other_out;
                wire [SUM_BITS-1:0] initial_in, initial_out;
                wire [1:0] load_in, load_out;
                wire signed [SUM_BITS-1:0] result_in, result_out;
                if (c == 0) begin : g_left
                    assign moving_in = moving[r*MOVING_BITS+:MOVING_BITS];
                    assign control_in = control[r*3+:3];
                end else begin : g_inside
                    assign moving_in = g_row[r].g_column[c-1].moving_out;
                    assign control_in = g_row[r].g_column[c-1].control_out;
                end
                if (r == 0) begin : g_top
                    assign other_in = other[c*OTHER_BITS+:OTHER_BITS];
                    assign initial_in = initial_sums[c*SUM_BITS+:SUM_BITS];
                    assign load_in = load[c*2+:2];
                end else begin : g_below
                    assign other_in = g_row[r-1].g_column[c].other_out;
                    assign initial_in = g_row[r-1].g_column[c].initial_out;
                    assign load_in = g_row[r-1].g_column[c].load_out;
                end
                if (SHIFT_OUT == 1 && r > 0) begin : g_from_above
                    assign result_in = g_row[r-1].g_column[c].result_out;
                end else if (SHIFT_OUT == 2 && c > 0) begin : g_from_left
                    assign result_in = g_row[r].g_column[c-1].result_out;
                end else begin : g_from_nowhere
                    assign result_in = '0;
                end
                if (c == COLUMNS - 1) begin : g_right
                    wire unused_right = &{1'b0, moving_out, control_out};
                end
                if (r == ROWS - 1) begin : g_bottom
                    wire unused_bottom = &{1'b0, other_out, initial_out, load_out};
                end
                sa_pe_result_stays #(
                    .MOVING_BITS       (MOVING_BITS),
                    .MOVING_SIGNED     (MOVING_SIGNED),
                    .OTHER_BITS        (OTHER_BITS),
                    .OTHER_SIGNED      (OTHER_SIGNED),
                    .XNOR              (XNOR),
                    .SUM_BITS          (SUM_BITS),
                    .SATURATE          (SATURATE),
                    .EXACT             (EXACT),
                    .DOUBLE_BUFFERED   (DOUBLE_BUFFERED),
                    .SHIFT_OUT         (SHIFT_OUT),
                    .PRELOAD           (PRELOAD),
                    .ROW_STEP          (ROW_STEP),
                    .COLUMN_STEP       (COLUMN_STEP),
                    .MULTIPLIER_LATENCY(MULTIPLIER_LATENCY),
                    .ACCUMULATE_LATENCY(ACCUMULATE_LATENCY)
                ) pe (
                    .clk        (clk),
                    .reset      (reset),
                    .moving_in  (moving_in),
                    .control_in (control_in),
                    .moving_out (moving_out),
                    .control_out(control_out),
                    .other_in   (other_in),
                    .other_out  (other_out),
                    .initial_in (initial_in),
                    .load_in    (load_in),
                    .initial_out(initial_out),
                    .load_out   (load_out),
                    .shift      (shift),
                    .result_in  (result_in),
                    .result_out (result_out),
                    .overflow   (overflow[c])
                );
                // Variables, not nets: a net with as many drivers as there are PEs is slow to simulate event by event.
                if (SHIFT_OUT == 0) begin : g_here
                    always_comb results[(r*COLUMNS+c)*SUM_BITS+:SUM_BITS] = result_out;
                end else if (SHIFT_OUT == 1 && r == ROWS - 1) begin : g_out_below
                    always_comb results[c*SUM_BITS+:SUM_BITS] = result_out;
                end else if (SHIFT_OUT == 2 && c == COLUMNS - 1) begin : g_out_right
                    always_comb results[r*SUM_BITS+:SUM_BITS] = result_out;
                end
            end
        end
    endgenerate
    always_ff @(posedge clk) overflows <= g_row[ROWS-1].overflows_so_far;
endmodule
